from __future__ import annotations

import numpy as np
import pytest

from features.backbones.audio.audio_models import resample


def _tone(hz: float, rate_hz: int, num_samples: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.sin(2 * np.pi * hz * np.arange(num_samples) / rate_hz)


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 24_000, 8_000])
@pytest.mark.parametrize("hz", [100, 1000, 3000])
def test_a_tone_is_the_same_tone_at_the_other_rate(rate_hz: int, hz: int) -> None:
    found = resample(_tone(hz, 16_000, 16_000).astype(np.float32), rate_hz)
    assert found.dtype == np.float32
    assert found.shape == (rate_hz,)
    # The ends differ: what lies outside counts as silence.
    inside = slice(rate_hz // 100, -rate_hz // 100)
    np.testing.assert_allclose(found[inside], _tone(hz, rate_hz, rate_hz)[inside], atol=2e-4)


def test_nothing_appears_above_8_khz() -> None:
    noise = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    power = np.abs(np.fft.rfft(resample(noise, 48_000) * np.hanning(48_000))) ** 2
    # One bin is 1 Hz. The filter's slope ends 10 % above 8 kHz.
    assert power[8_800:].mean() < 1e-7 * power[:7_200].mean()


def test_what_16_khz_cannot_hold_is_not_folded_back_when_going_down() -> None:
    found = resample(_tone(6_000, 16_000, 16_000).astype(np.float32), 8_000)
    assert np.abs(found[200:-200]).max() < 1e-4


def test_the_same_rate_is_left_alone() -> None:
    samples = np.ones(10, np.float32)
    assert resample(samples, 16_000) is samples


def test_one_sample_is_enough() -> None:
    assert resample(np.ones(1, np.float32), 48_000).shape == (3,)
