"""Turns the pictures of clips into one embedding a picture, whatever the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.backbones.extractor.streaming import BatchSettings, Item, embed_clips
from features.backbones.image.pixels import within_aspect
from features.backbones.runtime.runner import Runner, RuntimeSettings, load_runner
from features.base.errors import SourceError
from features.base.parallel import num_cpus
from features.base.versions import tool_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import nn

    from features.backbones.extractor.config import ExtractConfig
    from features.backbones.extractor.streaming import Piece
    from features.backbones.image.preprocess import Preprocess
    from features.formats.clip_data import ClipFeatures, Float32, Picture, UInt8

EMBEDDING_NDIM = 2
# Pictures that one thread decodes and prepares in one go: enough to share the cost of a call among them.
PICTURES_PER_PIECE = 8


@dataclass(frozen=True)
class VisualBackbone:
    """A network with what it wants to see.

    Attributes:
        network: Pictures as ``preprocess`` gives them in, with a batch dimension; ``(B, D)`` out.
        preprocess: ``(H, W, 3)`` RGB uint8 pictures of any sizes in, one array of one shape for each out;
            any thread may call it.
        preprocessing: The same in words, on one line.
        weights_sha256: Digest of the weights.
        packages: Installed packages whose version matters.
    """

    network: nn.Module
    preprocess: Preprocess
    preprocessing: str
    weights_sha256: str
    packages: tuple[str, ...]


class VisualExtractor:
    """One embedding for each picture of each clip.

    Raises:
        SourceError: The network does not give one vector a picture, or wants pictures of varying sizes.
        SettingError, ToolError: As ``load_runner``.
    """

    def __init__(self, config: ExtractConfig, backbone: VisualBackbone) -> None:
        examples = _examples(config.backbone, backbone)
        settings = RuntimeSettings(config.device, config.runtime, config.num_threads, config.batch_size)
        self._runner: Runner = load_runner(backbone.network, examples, settings)
        self._preprocess = backbone.preprocess
        self._batches = BatchSettings(config.batch_size, config.workers or num_cpus())
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

    def extract(self, clips: Iterable[Iterable[Picture] | None]) -> Iterator[ClipFeatures]:
        """Yield ``(T, D)`` embeddings per clip, in order; T is the number of its pictures."""
        return embed_clips(clips, self._pieces, self._runner, self._dim, self._batches)

    def _pieces(self, clip: Iterable[Picture]) -> Iterator[Piece]:
        pictures = iter(clip)
        while piece := list(islice(pictures, PICTURES_PER_PIECE)):
            yield partial(self._items, piece)

    def _items(self, pictures: Sequence[Picture]) -> list[Item]:
        # torch takes no array that cannot be written to, as Pillow's are.
        images = [np.require(within_aspect(picture.pixels()), requirements=["C", "W"]) for picture in pictures]
        arrays = self._preprocess(images)
        return [
            Item.of_one_step(array, time_seconds=picture.time_seconds)
            for array, picture in zip(arrays, pictures, strict=True)
        ]


def probe_images() -> list[UInt8]:
    """Return stacks of two and of three unlike pictures, ``(n, 240, 320, 3)``, always the same."""
    rows, columns = np.mgrid[0:240, 0:320]
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3))
    slope = np.stack([columns * 255 // 319, rows * 255 // 239, 255 - columns * 255 // 319], axis=-1)
    board = np.repeat((((rows // 16 + columns // 16) % 2) * 255)[..., None], 3, axis=-1)
    disc = ((rows - 120) ** 2 + (columns - 160) ** 2 < 80**2)[..., None] * np.array([230, 120, 20])
    flat = np.full((240, 320, 3), 90)
    return [np.stack(stack).astype(np.uint8) for stack in ((noise, slope), (board, disc, flat))]


def _examples(name: str, backbone: VisualBackbone) -> list[tuple[npt.NDArray[Any]]]:
    """Return the probe pictures as the network takes them, after checking that all pictures get one shape."""
    stacks = probe_images()
    upright = np.ascontiguousarray(stacks[0][0, :, :150])
    lying, standing = (backbone.preprocess([image])[0].shape for image in (stacks[0][0], upright))
    if lying != standing:
        raise SourceError(
            f"backbone {name!r}: its preprocessing gives shape {lying} for a picture of 320 x 240 and {standing} "
            "for one of 150 x 240: choose a model that sees pictures of one size"
        )
    return [(np.stack(backbone.preprocess(list(images))),) for images in stacks]


def _width(backbone: str, embeddings: Float32) -> int:
    if embeddings.ndim != EMBEDDING_NDIM:
        raise SourceError(
            f"backbone {backbone!r} gives shape {embeddings.shape}, not one embedding (D,) for each picture: "
            "choose an image classification or embedding model"
        )
    width: int = embeddings.shape[1]
    return width
