from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.backbones.audio.sound_windows import SampleReader, WindowSizes, check_sample_rate, windows
from features.base.errors import SettingError
from features.formats.clip_data import Sound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.formats.clip_data import Float32


def _counting(num_samples: int) -> Float32:
    """Samples that are their own positions."""
    return np.arange(num_samples, dtype=np.float32)


@settings(deadline=None)
@given(
    num_samples=st.integers(0, 300),
    window=st.integers(1, 120),
    hop=st.integers(1, 120),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_windows_are_slices_whatever_the_blocks(num_samples: int, window: int, hop: int, cuts: list[int]) -> None:
    hop = min(hop, window)
    whole = _counting(num_samples)
    found = list(windows(Sound(np.split(whole, sorted(cuts)), 16_000), WindowSizes(window, hop)))
    assert len(found) == (1 + math.ceil(max(0, num_samples - window) / hop) if num_samples else 0)
    for index, one in enumerate(found):
        assert one.start == index * hop
        np.testing.assert_array_equal(one.samples, whole[index * hop : index * hop + window])
    if found:
        assert found[-1].start + found[-1].samples.size == num_samples


def test_the_centre_is_that_of_the_sound_there_is() -> None:
    first, last = windows(Sound([_counting(20_000)], 16_000), WindowSizes(16_000, 16_000))
    assert first.centre_seconds == 0.5
    assert last.centre_seconds == pytest.approx((16_000 + 20_000) / 2 / 16_000)


def test_no_more_is_read_than_a_window_needs() -> None:
    num_taken = 0

    def blocks() -> Iterator[Float32]:
        nonlocal num_taken
        while True:
            num_taken += 1
            yield np.zeros(100, np.float32)

    found = windows(Sound(blocks(), 16_000), WindowSizes(1000, 500))
    next(found)
    assert num_taken == 10
    next(found)
    assert num_taken == 15


def test_what_lies_behind_is_forgotten() -> None:
    reader = SampleReader(_counting(1000).reshape(100, 10))
    np.testing.assert_array_equal(reader.between(0, 25), np.arange(25))
    np.testing.assert_array_equal(reader.between(500, 505), np.arange(500, 505))
    assert sum(block.size for block in reader._held) == 10
    assert reader.between(990, 2000).size == 10
    assert not reader.reaches(1000)
    assert reader.between(1000, 1001).size == 0


@pytest.mark.parametrize(("seconds", "hop", "expected"), [(1.0, 0.5, (16_000, 8_000)), (1e-9, 1e-9, (1, 1))])
def test_seconds_become_at_least_one_sample(seconds: float, hop: float, expected: tuple[int, int]) -> None:
    assert WindowSizes.of_seconds(seconds, hop) == WindowSizes(*expected)


def test_another_rate_than_16_khz_is_refused() -> None:
    check_sample_rate(Sound([], 16_000), "dsp:logmel")
    with pytest.raises(SettingError, match="sound with 8000 samples a second: dsp:logmel needs 16000"):
        check_sample_rate(Sound([], 8_000), "dsp:logmel")
