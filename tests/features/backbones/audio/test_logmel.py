from __future__ import annotations

import math

import numpy as np
import pytest

from features.backbones.audio.logmel import POWER_FLOOR, hann_window, hz_to_mel, log_mel, mel_filters, mel_to_hz


def _triangle(hz: float, left: float, centre: float, right: float) -> float:
    if left < hz <= centre:
        return (hz - left) / (centre - left)
    if centre < hz < right:
        return (right - hz) / (right - centre)
    return 0.0


def test_filters_are_triangles_between_equally_spaced_mels() -> None:
    top_mel = 2595 * math.log10(1 + 8000 / 700)
    edges_hz = [700 * (10 ** (top_mel * index / 65 / 2595) - 1) for index in range(66)]
    expected = [[_triangle(k * 16_000 / 512, *edges_hz[band : band + 3]) for k in range(257)] for band in range(64)]
    np.testing.assert_allclose(mel_filters(), expected, atol=1e-9)


def test_every_band_sees_the_spectrum() -> None:
    assert mel_filters().max(axis=1).min() > 0.1


def test_the_mel_scale_has_1000_hz_at_1000_mel_and_turns_back() -> None:
    assert hz_to_mel(np.array(1000.0)) == pytest.approx(1000.0, abs=0.02)
    hz = np.linspace(0, 8000, 50)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-9)


def _direct_log_mel(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[list[float]]:
    """The definition, written as sums of cosines and sines."""
    positions = np.arange(400)
    window = [math.sin(math.pi * n / 400) ** 2 for n in range(400)]
    rows = []
    for start in range(0, len(samples) - 399, 160):
        frame = samples[start : start + 400] * window
        angles = 2 * np.pi * np.arange(257)[:, None] * positions / 512
        power = (np.cos(angles) @ frame) ** 2 + (np.sin(angles) @ frame) ** 2
        rows.append([math.log(max(float(band @ power), POWER_FLOOR)) for band in mel_filters()])
    return rows


def test_log_mel_equals_its_definition() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 2000)
    np.testing.assert_allclose(log_mel(samples.astype(np.float32)), _direct_log_mel(samples), atol=1e-4)


def test_the_blocks_of_a_long_sound_join() -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, 160 * 4100 + 400).astype(np.float32)
    bands = log_mel(samples)
    assert bands.shape == (4101, 64)
    for frame in (0, 2047, 2048, 4096, 4100):
        alone = log_mel(samples[160 * frame : 160 * frame + 400])
        np.testing.assert_allclose(bands[frame], alone[0], atol=1e-5)


def test_power_obeys_parseval() -> None:
    # A unit impulse at sample 100 has a flat spectrum of power w[100]^2, so a band sums its filter's weights.
    samples = np.zeros(400, np.float32)
    samples[100] = 1.0
    expected = np.log(hann_window()[100] ** 2 * mel_filters().sum(axis=1))
    np.testing.assert_allclose(log_mel(samples)[0], expected, atol=1e-5)


@pytest.mark.parametrize("hz", [250, 1000, 3000, 7000])
def test_a_tone_is_loudest_in_its_own_band(hz: int) -> None:
    tone = np.sin(2 * np.pi * hz * np.arange(4000) / 16_000).astype(np.float32)
    centres_hz = mel_to_hz(np.linspace(0, hz_to_mel(np.array(8000.0)), 66))[1:-1]
    loudest = log_mel(tone).mean(axis=0).argmax()
    assert abs(loudest - np.abs(centres_hz - hz).argmin()) <= 1


@pytest.mark.parametrize(("num_samples", "expected"), [(1, 1), (399, 1), (400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_frames_that_fit_whole_are_counted(num_samples: int, expected: int) -> None:
    assert log_mel(np.zeros(num_samples, np.float32)).shape == (expected, 64)


def test_silence_gives_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(1000, np.float32)), math.log(POWER_FLOOR), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_spoils_its_frames_only(bad: float) -> None:
    samples = np.random.default_rng(2).uniform(-1, 1, 1600).astype(np.float32)
    samples[1500] = bad
    finite = np.isfinite(log_mel(samples)).all(axis=1)
    np.testing.assert_array_equal(finite, [160 * frame + 400 <= 1500 for frame in range(8)])
