"""One embedding a window of successive pictures, whatever the network."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from features.backbones.extractor.extractor import NetworkExtractor, one_step
from features.backbones.vision.image_extractor import probe_images
from features.backbones.vision.preprocess import within_aspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.extractor import Backbone, StepLabels
    from features.backbones.extractor.streaming import Item, Piece
    from features.formats.clip_data import Float32, Picture, UInt8

Frame = TypeVar("Frame")
# How far the pictures of a probe move from one to the next.
PROBE_STEP_PIXELS = 8


class VideoExtractor(NetworkExtractor["Iterable[Picture]"]):
    """One embedding for each window of each clip; its time is the middle of its first and its last picture.

    ``backbone.prepare`` takes one ``(H, W, 3)`` RGB uint8 picture and returns ``(h, w, 3)`` uint8, for any H and W; the
    network takes ``(B, T, h, w, 3)``.

    Raises:
        SourceError: The network does not give one vector a window.
        SettingError, ToolError: As ``load_runner``.
    """

    step = "window"
    advice = "a video classification model"

    def __init__(self, config: ExtractConfig, backbone: Backbone) -> None:
        examples = [(probe_windows(backbone.prepare, config.window_frames, count),) for count in (2, 1)]
        super().__init__(config, backbone, examples, checks_full_batch=False)
        self._window_frames = config.window_frames
        self._hop_frames = config.hop_frames

    def pieces(self, clip: Iterable[Picture]) -> Iterator[Piece[StepLabels, Float32]]:
        """Yield a call for each window."""
        pictures = (PreparedOnce(picture, self.prepare) for picture in clip)
        for window in windows(pictures, self._window_frames, self._hop_frames):
            yield partial(_item, window)


def _item(window: Sequence[PreparedOnce]) -> list[Item[StepLabels]]:
    middle_seconds = (window[0].time_seconds + window[-1].time_seconds) / 2
    stack = np.stack([picture.pixels() for picture in window])  # (T, h, w, 3)
    return [one_step(stack, time_seconds=middle_seconds)]


def probe_windows(prepare: Callable[[UInt8], UInt8], window_frames: int, count: int) -> UInt8:
    """Return ``count`` unlike windows of pictures that move, ``(count, T, h, w, 3)``, always the same."""
    images = [image for stack in probe_images() for image in stack][:count]
    moving = [
        np.stack([prepare(np.roll(image, step * PROBE_STEP_PIXELS, axis=1)) for step in range(window_frames)])
        for image in images
    ]
    return np.stack(moving)


def windows(pictures: Iterable[Frame], window_frames: int, hop_frames: int) -> Iterator[list[Frame]]:
    """Yield windows of successive pictures, a hop apart; every picture is in one.

    Where the last one would end before the clip does, one more ends with the clip, nearer than a hop to the one
    before. A clip of fewer pictures than a window has repeats its last one; one of none has no window.
    """
    recent: deque[Frame] = deque(maxlen=window_frames)
    num_read = num_covered = 0
    for picture in pictures:
        recent.append(picture)
        num_read += 1
        if num_read >= window_frames and (num_read - window_frames) % hop_frames == 0:
            num_covered = num_read
            yield list(recent)
    if num_read > num_covered:
        yield [*recent, *[recent[-1]] * (window_frames - len(recent))]


class PreparedOnce:
    """A picture that is decoded and prepared by the first window that asks for it, in whichever thread.

    Args:
        picture: The picture.
        prepare: ``(H, W, 3)`` in, ``(h, w, 3)`` out.
    """

    def __init__(self, picture: Picture, prepare: Callable[[UInt8], UInt8]) -> None:
        self._picture = picture
        self._prepare = prepare
        self._lock = threading.Lock()
        self._pixels: UInt8 | None = None
        self.time_seconds = picture.time_seconds

    def pixels(self) -> UInt8:
        """Return ``(h, w, 3)``.

        Raises:
            ShardError: It cannot be decoded.
        """
        with self._lock:
            if self._pixels is None:
                self._pixels = self._prepare(within_aspect(self._picture.pixels()))
        return self._pixels
