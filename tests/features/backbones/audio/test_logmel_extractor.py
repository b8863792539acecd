from __future__ import annotations

import math
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.backbones.audio.logmel import POWER_FLOOR, log_mel
from features.backbones.audio.logmel_extractor import LogMelExtractor, load
from features.backbones.extractor.extract_config import ExtractConfig
from features.base.errors import SettingError
from features.formats.clip_data import ClipFeatures, Float32, Sound, Waveform
from tests.features.backbones.tiny_models import sound

if TYPE_CHECKING:
    from collections.abc import Iterator


def _extractor(window_seconds: float = 1.0, hop_seconds: float = 0.5) -> LogMelExtractor:
    config = ExtractConfig(
        "audio", "dsp:logmel", window_seconds=window_seconds, hop_seconds=hop_seconds, batch_size=2, workers=1
    )
    return load(config)


def _describe(clip: Waveform, window_seconds: float = 1.0, hop_seconds: float = 0.5) -> ClipFeatures:
    (result,) = _extractor(window_seconds, hop_seconds).extract([clip.sound()])
    return result


def _directly(clip: Waveform, window_seconds: float, hop_seconds: float) -> list[Float32]:
    """The features by their definition, from the spectrum of the whole sound."""
    window, hop = max(1, round(window_seconds * 16_000)), max(1, round(hop_seconds * 16_000))
    bands = log_mel(clip.samples).astype(np.float64)
    rows = []
    for index in range(1 + math.ceil(max(0, clip.samples.size - window) / hop)):
        start, stop = index * hop, min(index * hop + window, clip.samples.size)
        inside = [frame for frame in range(len(bands)) if start <= 160 * frame and 160 * frame + 400 <= stop]
        # A window without a whole frame takes the first frame that begins in it, or the last one of all.
        chosen = bands[inside or [min(math.ceil(start / 160), len(bands) - 1)]]
        rows.append(np.concatenate([chosen.mean(axis=0), chosen.std(axis=0)]).astype(np.float32))
    return rows


@pytest.mark.parametrize(
    ("num_samples", "centres"),
    [
        (1, [1 / 32_000]),
        (8_000, [0.25]),
        (16_000, [0.5]),
        (16_001, [0.5, (8_000 + 16_001) / 32_000]),
        (24_000, [0.5, 1.0]),
        (32_000, [0.5, 1.0, 1.5]),
        (36_000, [0.5, 1.0, 1.5, (24_000 + 36_000) / 32_000]),
    ],
)
def test_windows_follow_each_other_until_all_is_covered(num_samples: int, centres: list[float]) -> None:
    result = _describe(sound(num_samples, seed=0))
    np.testing.assert_allclose(result.time_seconds, centres, atol=1e-6)
    assert result.features.shape == (len(centres), 128)


def test_times_begin_where_the_sound_begins() -> None:
    clip = sound(32_000, seed=0)
    late = Waveform(clip.samples, 16_000, start_seconds=2.5)
    np.testing.assert_allclose(_describe(late).time_seconds - _describe(clip).time_seconds, 2.5)


def test_features_are_mean_and_deviation_of_the_frames_inside_a_window() -> None:
    clip = sound(24_000, seed=1)
    bands = log_mel(clip.samples).astype(np.float64)
    # The second window covers samples 8,000 to 24,000: frames 50 (at 8,000) to 147 (23,520 to 23,920).
    inside = bands[50:148]
    mean = inside.sum(axis=0) / 98
    deviation = np.sqrt(((inside - mean) ** 2).sum(axis=0) / 98)
    np.testing.assert_allclose(_describe(clip).features[1], np.concatenate([mean, deviation]), rtol=1e-5)


def test_a_window_is_described_as_if_it_stood_alone() -> None:
    clip = sound(40_000, seed=2)
    for index, row in enumerate(_describe(clip).features):
        alone = Waveform(clip.samples[8_000 * index : 8_000 * index + 16_000], 16_000)
        np.testing.assert_allclose(row, _describe(alone).features[0], rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(num_samples=st.integers(1, 20_000), window=st.floats(0.01, 2.0), share=st.floats(0.2, 1.0))
def test_any_length_and_window_give_finite_features_over_the_whole_sound(
    num_samples: int, window: float, share: float
) -> None:
    hop = window * share
    result = _describe(sound(num_samples, seed=3), window, hop)
    window_samples, hop_samples = max(1, round(window * 16_000)), max(1, round(hop * 16_000))
    extra = max(0, num_samples - window_samples)
    assert result.features.shape == (1 + math.ceil(extra / hop_samples), 128)
    assert np.isfinite(result.features).all()
    assert (result.time_seconds <= num_samples / 16_000).all()
    assert (np.diff(result.time_seconds) > 0).all()


@settings(deadline=None, max_examples=40)
@given(
    num_samples=st.integers(1, 30_000),
    window=st.floats(0.001, 1.0),
    share=st.floats(0.2, 1.0),
    cuts=st.lists(st.integers(0, 30_000), max_size=6),
)
def test_blocks_of_any_size_give_the_same_bytes_and_the_definition(
    num_samples: int, window: float, share: float, cuts: list[int]
) -> None:
    # Never so small a hop that the direct way takes long.
    hop = max(window * share, 0.01) if window > 0.01 else window
    clip = sound(num_samples, seed=5)
    blocks = np.split(clip.samples, sorted(cuts))
    (result,) = _extractor(window, hop).extract([Sound(iter(blocks), 16_000)])
    assert result.features.tobytes() == _describe(clip, window, hop).features.tobytes()
    np.testing.assert_allclose(result.features, _directly(clip, window, hop), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("window", "hop"), [(1.0, 0.5), (7.3, 7.3), (0.3, 0.1)])
def test_a_sound_of_many_stretches_follows_the_definition(window: float, hop: float) -> None:
    clip = sound(16_000 * 41 + 77, seed=6)
    np.testing.assert_allclose(
        _describe(clip, window, hop).features, _directly(clip, window, hop), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("num_samples", "window", "hop"),
    [
        # Frames reach beyond the last window of a stretch of 64.
        (48_000, 0.01, 0.01),
        (48_000, 0.02, 0.013),
        # The last window is the first one of its stretch, and the last frame begins before it.
        (64 * 160 + 50, 0.01, 0.01),
    ],
)
def test_windows_without_a_whole_frame_follow_the_definition(num_samples: int, window: float, hop: float) -> None:
    clip = sound(num_samples, seed=7)
    np.testing.assert_allclose(
        _describe(clip, window, hop).features, _directly(clip, window, hop), rtol=1e-5, atol=1e-5
    )


def test_memory_does_not_grow_with_the_sound() -> None:
    def peak_bytes(num_seconds: int) -> int:
        blocks = (np.zeros(16_000, np.float32) for _ in range(num_seconds))
        tracemalloc.start()
        (result,) = _extractor(1.0, 1.0).extract([Sound(blocks, 16_000)])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert result.features.shape == (num_seconds, 128)
        return peak

    # 400 seconds more of samples are 25.6 MB, of features 0.2 MB.
    assert peak_bytes(500) - peak_bytes(100) < 3_000_000


def test_windows_come_before_the_sound_has_ended() -> None:
    num_taken = 0

    def blocks() -> Iterator[Float32]:
        nonlocal num_taken
        for _ in range(1000):
            num_taken += 1
            yield np.zeros(16_000, np.float32)

    pieces = _extractor().pieces(Sound(blocks(), 16_000))
    assert len(next(pieces)()[0].mark.time_seconds) == 39
    assert num_taken < 23


def test_silence_is_the_floor_without_deviation() -> None:
    features = _describe(Waveform(np.zeros(20_000, np.float32), 16_000)).features
    np.testing.assert_allclose(features[:, :64], math.log(POWER_FLOOR), rtol=1e-6)
    np.testing.assert_array_equal(features[:, 64:], 0.0)


def test_features_that_are_not_finite_are_given_as_they_are() -> None:
    clip = sound(32_000, seed=4)
    clip.samples[0] = np.nan
    finite = np.isfinite(_describe(clip).features).all(axis=1)
    np.testing.assert_array_equal(finite, [False, True, True])


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(SettingError, match="window_seconds 301 is too long for dsp:logmel: give at most 300"):
        _extractor(301.0)


def test_another_sample_rate_is_refused() -> None:
    with pytest.raises(SettingError, match="sound with 44100 samples a second: dsp:logmel needs 16000"):
        _describe(Waveform(np.zeros(100, np.float32), 44_100))
