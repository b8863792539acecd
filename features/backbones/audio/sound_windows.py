"""Sound in overlapping windows, cut while it is read piece by piece."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import SettingError
from features.formats.tar_shard import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from features.formats.clip_data import Float32, Sound


@dataclass(frozen=True)
class WindowSizes:
    """Where windows lie: they begin every ``hop`` samples until every sample is covered.

    Attributes:
        window: Samples of a window, 1 or more.
        hop: Samples from the start of one to the start of the next, 1 to ``window``.
    """

    window: int
    hop: int

    @classmethod
    def of_seconds(cls, window_seconds: float, hop_seconds: float) -> WindowSizes:
        """Return the sizes at 16 kHz, rounded to samples, at least one each."""
        window = max(1, round(window_seconds * SAMPLE_RATE_HZ))
        return cls(window, min(window, max(1, round(hop_seconds * SAMPLE_RATE_HZ))))


@dataclass(frozen=True)
class Window:
    """A window of sound.

    Attributes:
        start: Position of its first sample in the sound.
        samples: ``(S,)``, S >= 1; the last window of a sound may be shorter than the others.
    """

    start: int
    samples: Float32

    @property
    def centre_seconds(self) -> float:
        """Its middle, from the first sample of the sound."""
        return (self.start + self.samples.size / 2) / SAMPLE_RATE_HZ


class SampleReader:
    """Reads blocks of samples as they are needed, and releases those that are passed.

    The results do not depend on how the samples are divided into blocks.
    """

    def __init__(self, blocks: Iterable[Float32]) -> None:
        self._blocks = iter(blocks)
        self._held: deque[Float32] = deque()
        # Positions of the first sample that is held, and behind the last one.
        self._first = 0
        self._end = 0

    def reaches(self, position: int) -> bool:
        """Return whether the sound has a sample at ``position``."""
        while self._end <= position:
            block = next(self._blocks, None)
            if block is None:
                return False
            if block.size:
                self._held.append(block)
                self._end += block.size
        return True

    def between(self, start: int, stop: int) -> Float32:
        """Return the samples from ``start`` up to ``stop``, fewer where the sound ends; forget those before.

        ``start`` may not lie before an earlier one.
        """
        self.reaches(stop - 1)
        while self._held and self._first + self._held[0].size <= start:
            self._first += self._held.popleft().size
        parts = [np.zeros(0, np.float32)]
        position = self._first
        for block in self._held:
            if position >= stop:
                break
            parts.append(block[max(0, start - position) : stop - position])
            position += block.size
        return np.concatenate(parts)


def check_sample_rate(sound: Sound, backbone: str) -> None:
    """Check that the sound is sampled at 16 kHz, as everything that Decode stores.

    Raises:
        SettingError: It is not.
    """
    if sound.sample_rate_hz != SAMPLE_RATE_HZ:
        raise SettingError(
            f"sound with {sound.sample_rate_hz} samples a second: {backbone} needs {SAMPLE_RATE_HZ}; resample it first"
        )


def windows(sound: Sound, sizes: WindowSizes) -> Iterator[Window]:
    """Yield the windows of a sound, read as far as each one needs.

    There are ``1 + ceil((n - window) / hop)`` of n samples, one where n <= window, none where n = 0.
    """
    reader = SampleReader(sound.blocks)
    for start in window_starts(reader, sizes):
        yield Window(start, reader.between(start, start + sizes.window))


def window_starts(reader: SampleReader, sizes: WindowSizes) -> Iterator[int]:
    """Yield where windows begin, each as soon as it is known that there is one."""
    start, needed = 0, 0
    # The next window is there if this one does not reach the end.
    while reader.reaches(needed):
        yield start
        needed = start + sizes.window
        start += sizes.hop
