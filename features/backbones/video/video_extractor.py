"""Turns the pictures of clips into one embedding a window of successive pictures, whatever the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from features.backbones.extractor.streaming import BatchSettings, Item, embed_clips
from features.backbones.image.image_extractor import probe_images
from features.backbones.runtime.runner import Runner, RuntimeSettings, load_runner
from features.backbones.video.frame_windows import PreparedOnce, windows
from features.base.errors import SourceError
from features.base.parallel import num_cpus
from features.base.versions import tool_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from features.backbones.extractor.config import ExtractConfig
    from features.backbones.extractor.streaming import Piece
    from features.formats.clip_data import ClipFeatures, Float32, Picture, UInt8

NUM_COLOURS = 3
EMBEDDING_NDIM = 2
# How far the pictures of a probe move from one to the next.
PROBE_STEP_PIXELS = 8


@dataclass(frozen=True)
class MotionBackbone:
    """A network with what it wants to see.

    Attributes:
        network: ``(B, T, h, w, 3)`` uint8 in, ``(B, D)`` out.
        prepare: ``(H, W, 3)`` RGB uint8 in, ``(h, w, 3)`` uint8 out, for any H and W; any thread may call it.
        preprocessing: The same in words, on one line.
        weights_sha256: Digest of the weights.
        packages: Installed packages whose version matters.
    """

    network: nn.Module
    prepare: Callable[[UInt8], UInt8]
    preprocessing: str
    weights_sha256: str
    packages: tuple[str, ...]


class FromWindows(nn.Module):
    """A network behind ``(x - mean) / std``, where the network runs and as bytes until then.

    Args:
        network: ``(B, 3, T, h, w)`` float32 in.
        mean: One number a colour, on the scale of 0 to 1.
        std: The same.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        for name, values in (("mean", mean), ("std", std)):
            per_colour = torch.tensor([value * 255 for value in values]).reshape(1, NUM_COLOURS, 1, 1, 1)
            self.register_buffer(name, per_colour, persistent=False)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the network's output for ``(B, T, h, w, 3)`` windows, 0 to 255."""
        volumes = windows.permute(0, 4, 1, 2, 3).to(self.mean.dtype)  # (B, 3, T, h, w)
        output: torch.Tensor = self.network((volumes - self.mean) / self.std)
        return output


class MotionExtractor:
    """One embedding for each window of each clip; its time is the middle of its first and its last picture.

    Raises:
        SourceError: The network does not give one vector a window.
        SettingError, ToolError: As ``load_runner``.
    """

    def __init__(self, config: ExtractConfig, backbone: MotionBackbone) -> None:
        examples = [(probe_windows(backbone.prepare, config.window_frames, count),) for count in (2, 1)]
        settings = RuntimeSettings(config.device, config.runtime, config.num_threads)
        self._runner: Runner = load_runner(backbone.network, examples, settings)
        self._prepare = backbone.prepare
        self._window_frames = config.window_frames
        self._hop_frames = config.hop_frames
        self._batches = BatchSettings(config.batch_size, config.workers or num_cpus())
        self._dim = _width(config.backbone, self._runner(*examples[-1]))
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": backbone.weights_sha256,
            "preprocessing": backbone.preprocessing,
            "runtime": self._runner.name,
            "versions": tool_versions(*backbone.packages, "torch", self._runner.name.split(maxsplit=1)[0]),
        }

    @property
    def dim(self) -> int:
        """Width D of the embeddings."""
        return self._dim

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        return MappingProxyType(self._provenance)

    def extract(self, clips: Iterable[Iterable[Picture] | None]) -> Iterator[ClipFeatures]:
        """Yield ``(T, D)`` embeddings per clip, in order; T is the number of its windows."""
        return embed_clips(clips, self._pieces, self._runner, self._dim, self._batches)

    def _pieces(self, clip: Iterable[Picture]) -> Iterator[Piece]:
        pictures = (PreparedOnce(picture, self._prepare) for picture in clip)
        for window in windows(pictures, self._window_frames, self._hop_frames):
            yield partial(_item, window)


def _item(window: Sequence[PreparedOnce]) -> list[Item]:
    middle_seconds = (window[0].time_seconds + window[-1].time_seconds) / 2
    stack = np.stack([picture.pixels() for picture in window])  # (T, h, w, 3)
    return [Item.of_one_step(stack, time_seconds=middle_seconds)]


def probe_windows(prepare: Callable[[UInt8], UInt8], window_frames: int, count: int) -> UInt8:
    """Return ``count`` unlike windows of pictures that move, ``(count, T, h, w, 3)``, always the same."""
    images = [image for stack in probe_images() for image in stack][:count]
    moving = [
        np.stack([prepare(np.roll(image, step * PROBE_STEP_PIXELS, axis=1)) for step in range(window_frames)])
        for image in images
    ]
    return np.stack(moving)


def _width(backbone: str, embeddings: Float32) -> int:
    if embeddings.ndim != EMBEDDING_NDIM:
        raise SourceError(
            f"backbone {backbone!r} gives shape {embeddings.shape}, not one embedding (D,) for each window: "
            "choose a video classification model"
        )
    width: int = embeddings.shape[1]
    return width
