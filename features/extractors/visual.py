"""Turns the pictures of clips into one embedding a picture, whatever the network."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from features.errors import SourceError
from features.extractors.batching import BatchRule, run_in_batches
from features.extractors.protocol import ClipFeatures, Float32, ImageSequence, UInt8
from features.extractors.versions import tool_versions
from features.runtime import Runner, RuntimeSettings, load_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import nn

    from features.extractors.config import ExtractConfig

# Clips or pictures that may wait for a batch, in batches. Covers (one picture a clip) need at least one.
MAX_HELD_BATCHES = 4
EMBEDDING_NDIM = 2


@dataclass(frozen=True)
class VisualBackbone:
    """A network with what it wants to see.

    Attributes:
        network: ``(B, 3, h, w)`` float32 in, ``(B, D)`` out.
        preprocess: ``(n, H, W, 3)`` RGB uint8 of one size in, ``(n, 3, h, w)`` float32 out, writable.
        preprocessing: The same in words, on one line.
        weights_sha256: Digest of the weights.
        packages: Installed packages whose version matters.
    """

    network: nn.Module
    preprocess: Callable[[UInt8], Float32]
    preprocessing: str
    weights_sha256: str
    packages: tuple[str, ...]


class VisualExtractor:
    """One embedding for each picture of each clip.

    Every batch has ``batch_size`` pictures: a smaller rest is filled up with copies of its last picture, so
    that a picture's embedding does not depend on how many others came with it.
    """

    def __init__(self, config: ExtractConfig, backbone: VisualBackbone) -> None:
        examples = [(backbone.preprocess(images),) for images in probe_images()]
        settings = RuntimeSettings(config.device, config.runtime, config.num_threads)
        self._runner: Runner = load_runner(backbone.network, examples, settings)
        self._preprocess = backbone.preprocess
        self._batch_size = config.batch_size
        self._dim = _width(config.backbone, self._runner(*examples[0]))
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

    def extract(self, clips: Iterable[ImageSequence | None]) -> Iterator[ClipFeatures]:
        """Yield ``(T, D)`` embeddings per clip, in order; pictures are preprocessed as batches need them."""
        times: deque[Float32] = deque()

        def pictures_per_clip() -> Iterator[Iterator[Float32]]:
            for clip in clips:
                times.append(np.zeros(0, np.float32) if clip is None else clip.time_seconds.astype(np.float32))
                yield self._pictures(clip)

        rule = BatchRule[Float32](
            key=lambda picture: picture.shape,
            batch_size=self._batch_size,
            max_held=MAX_HELD_BATCHES * self._batch_size,
        )
        for rows in run_in_batches(pictures_per_clip(), self._run, rule):
            features = np.stack(rows) if rows else np.zeros((0, self._dim), np.float32)
            yield ClipFeatures(features, times.popleft())

    def _pictures(self, clip: ImageSequence | None) -> Iterator[Float32]:
        num_pictures = 0 if clip is None else clip.images.shape[0]
        for start in range(0, num_pictures, self._batch_size):
            assert clip is not None  # noqa: S101 - there are pictures
            yield from self._preprocess(clip.images[start : start + self._batch_size])

    def _run(self, pictures: list[Float32]) -> list[Float32]:
        padding = [pictures[-1]] * (self._batch_size - len(pictures))
        rows = self._runner(np.stack(pictures + padding))  # (batch_size, D)
        return list(rows[: len(pictures)])


def probe_images() -> list[UInt8]:
    """Return stacks of two and of three unlike pictures, ``(n, 240, 320, 3)``, always the same."""
    rows, columns = np.mgrid[0:240, 0:320]
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3))
    slope = np.stack([columns * 255 // 319, rows * 255 // 239, 255 - columns * 255 // 319], axis=-1)
    board = np.repeat((((rows // 16 + columns // 16) % 2) * 255)[..., None], 3, axis=-1)
    disc = ((rows - 120) ** 2 + (columns - 160) ** 2 < 80**2)[..., None] * np.array([230, 120, 20])
    flat = np.full((240, 320, 3), 90)
    return [np.stack(stack).astype(np.uint8) for stack in ((noise, slope), (board, disc, flat))]


def _width(backbone: str, embeddings: Float32) -> int:
    if embeddings.ndim != EMBEDDING_NDIM:
        raise SourceError(
            f"backbone {backbone!r} gives shape {embeddings.shape}, not one embedding (D,) for each picture: "
            " choose an image classification or embedding model"
        )
    width: int = embeddings.shape[1]
    return width
