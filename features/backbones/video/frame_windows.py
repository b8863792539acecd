"""Cuts the pictures of a clip into windows, and prepares each picture once."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from features.backbones.image.pixels import within_aspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from features.formats.clip_data import Picture, UInt8

Frame = TypeVar("Frame")


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
