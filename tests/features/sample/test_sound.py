from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from features.sample.config import SampleConfig
from features.sample.plan import ClipPlan
from features.sample.sound import WAV_RATE_HZ, record_sound

CONFIG = SampleConfig()


def make_plan(*, sound: str = "music", tone: str = "", tags: frozenset[str] = frozenset(), index: int = 0) -> ClipPlan:
    return ClipPlan(index, f"clip-{index}", "city", sound, "still", tone, tags, half_seconds=5)


def power(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2)


def overlay(plan: ClipPlan) -> npt.NDArray[np.float64]:
    """What the tone and the beeps add to the sound of a clip, up to its loudness."""
    bare = record_sound(replace(plan, tone="", tags=frozenset()), CONFIG).astype(float)
    return np.asarray(record_sound(plan, CONFIG) - bare, dtype=np.float64)


def peak_hz(samples: npt.NDArray[np.float64]) -> float:
    return float(np.argmax(power(samples)) * WAV_RATE_HZ / len(samples))


def test_the_sound_is_as_long_as_the_frames() -> None:
    assert len(record_sound(make_plan(), CONFIG)) == 2.6 * WAV_RATE_HZ


def test_a_motor_is_low_and_birds_are_high() -> None:
    def centre_hz(sound: str, index: int) -> float:
        spectrum = power(record_sound(make_plan(sound=sound, index=index), CONFIG).astype(float))
        hertz = np.linspace(0, WAV_RATE_HZ / 2, len(spectrum))
        return float((spectrum * hertz).sum() / spectrum.sum())

    centres = {sound: [centre_hz(sound, index) for index in range(5)] for sound in ("motor", "birdsong")}
    assert max(centres["motor"]) < 2000 < min(centres["birdsong"])


@pytest.mark.parametrize("index", range(3))
def test_a_rising_tone_rises_and_a_falling_one_is_the_same_backwards(index: int) -> None:
    rising, falling = (overlay(make_plan(tone=tone, index=index)) for tone in ("rising tone", "falling tone"))
    whole = 2 * WAV_RATE_HZ
    assert peak_hz(rising[: whole // 8]) * 2 < peak_hz(rising[whole * 7 // 8 : whole])
    # Rounding to 16 bits happens after the sum.
    np.testing.assert_allclose(falling[:whole], rising[:whole][::-1], atol=2)
    assert np.abs(rising[whole:]).max() <= 1


def test_beeps_come_and_go() -> None:
    beeps = np.abs(overlay(make_plan(tags=frozenset({"beeping"}))))
    blocks = beeps[: len(beeps) // 160 * 160].reshape(-1, 160).max(axis=1)
    is_on = blocks > 0.5 * blocks.max()
    assert 0.3 < is_on.mean() < 0.5
    # Both edges of 2.5 to 4.5 beeps a second in 2.6 seconds.
    assert 12 <= np.abs(np.diff(is_on.astype(int))).sum() <= 25
