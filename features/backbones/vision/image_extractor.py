"""One embedding a picture, whatever the network."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.backbones.extractor.extractor import NetworkExtractor, one_step
from features.backbones.vision.preprocess import within_aspect
from features.base.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.extractor import Backbone, StepLabels
    from features.backbones.extractor.streaming import Item, Piece
    from features.formats.clip_data import Float32, Picture, UInt8

# Pictures that one thread decodes and prepares in one go: enough to share the cost of a call among them.
PICTURES_PER_PIECE = 8


class ImageExtractor(NetworkExtractor["Iterable[Picture]"]):
    """One embedding for each picture of each clip.

    ``backbone.prepare`` takes ``(H, W, 3)`` RGB uint8 pictures of any sizes, and returns one array of one shape for
    each of them.

    Raises:
        SourceError: The network does not give one vector a picture, or takes pictures of varying sizes.
        SettingError, ToolError: As ``load_runner``.
    """

    step = "picture"
    advice = "an image classification or embedding model"

    def __init__(self, config: ExtractConfig, backbone: Backbone) -> None:
        super().__init__(config, backbone, _examples(config.backbone, backbone), checks_full_batch=True)

    def pieces(self, clip: Iterable[Picture]) -> Iterator[Piece[StepLabels, Float32]]:
        """Yield calls for some pictures at a time."""
        pictures = iter(clip)
        while piece := list(islice(pictures, PICTURES_PER_PIECE)):
            yield partial(self._items, piece)

    def _items(self, pictures: Sequence[Picture]) -> list[Item[StepLabels]]:
        # torch takes no array that cannot be written to, as Pillow's are.
        images = [np.require(within_aspect(picture.pixels()), requirements=["C", "W"]) for picture in pictures]
        arrays = self.prepare(images)
        return [
            one_step(array, time_seconds=picture.time_seconds) for array, picture in zip(arrays, pictures, strict=True)
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


def _examples(name: str, backbone: Backbone) -> list[tuple[npt.NDArray[Any]]]:
    """Return the probe pictures as the network takes them, after checking that all pictures get one shape."""
    stacks = probe_images()
    upright = np.ascontiguousarray(stacks[0][0, :, :150])
    lying = backbone.prepare([stacks[0][0]])[0].shape
    standing = backbone.prepare([upright])[0].shape
    if lying != standing:
        raise SourceError(
            f"backbone {name!r}: its preprocessing gives shape {lying} for a picture of 320 x 240 and {standing} "
            "for one of 150 x 240: choose a model for pictures of one size"
        )
    return [(np.stack(backbone.prepare(list(images))),) for images in stacks]
