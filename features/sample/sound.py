"""Synthesises a clip's sound: music, motor or birds over noise, with a gliding tone and beeps on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.sample.filming import count_frames

if TYPE_CHECKING:
    from features.sample.config import SampleConfig
    from features.sample.plan import ClipPlan

Float64 = npt.NDArray[np.float64]

# Of the rendered files; what Decode stores has a rate of its own.
WAV_RATE_HZ = 16_000
SOUND_STREAM = 5
NOTE_SAMPLES = WAV_RATE_HZ
# Fraction of the time that a beep sounds.
BEEP_FRACTION = 0.4
# Semitones above the root of a pentatonic scale: any order of them sounds like a tune.
SCALE = (0, 2, 4, 7, 9, 12, 14, 16)


def record_sound(plan: ClipPlan, config: SampleConfig) -> npt.NDArray[np.int16]:
    """Return the samples, ``(S,)`` at 16 kHz, as long as the frames."""
    rng = np.random.default_rng([config.seed, SOUND_STREAM, plan.index])
    num_samples = count_frames(plan, config) * WAV_RATE_HZ // config.frames_per_second
    wave = _to_level(SOURCES[plan.sound](num_samples, rng), -20.0)
    wave += _to_level(_make_noise(num_samples, rng), rng.uniform(-36.0, -21.0))
    level, gain = rng.uniform(-28.0, -21.0), 10 ** (rng.uniform(-10.0, 0.0) / 20)
    if plan.tone:
        wave += _to_level(_glide(plan, config, rng), level)
    if "beeping" in plan.tags:
        wave += _to_level(_beep(num_samples, rng), level)
    return np.asarray(np.clip(wave * gain, -1.0, 1.0) * 32767, dtype=np.int16)


def _to_level(wave: Float64, decibels: float) -> Float64:
    """Return the wave scaled to a root mean square in dB below full scale; silence stays silence."""
    power = float(np.sqrt(np.mean(wave**2)))
    return wave * (10 ** (decibels / 20) / power) if power > 0 else wave


def _seconds(num_samples: int) -> Float64:
    return np.arange(num_samples) / WAV_RATE_HZ


def _play_music(num_samples: int, rng: np.random.Generator) -> Float64:
    """Return plucked notes of one scale at an even pace."""
    wave = np.zeros(num_samples)
    root, step = rng.uniform(180, 330), round(WAV_RATE_HZ / rng.uniform(2.5, 5.0))
    for start in range(0, num_samples, step):
        time = _seconds(min(NOTE_SAMPLES, num_samples - start))
        pitch = root * 2 ** (SCALE[int(rng.integers(len(SCALE)))] / 12)
        note = sum(np.sin(2 * np.pi * pitch * k * time) / k**1.5 for k in range(1, 6))
        wave[start : start + len(time)] += note * np.exp(-time * rng.uniform(5, 9))
    return wave


def _run_motor(num_samples: int, rng: np.random.Generator) -> Float64:
    """Return harmonics of a low, slightly unsteady pitch that throb, with a hiss."""
    time = _seconds(num_samples)
    pitch = rng.uniform(45, 110) * (1 + 0.03 * np.sin(2 * np.pi * rng.uniform(0.3, 1.0) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / WAV_RATE_HZ
    wave = sum(np.sin(k * phase + rng.uniform(0, 6)) / k**0.7 for k in range(1, 17))
    throb = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(6, 14) * time)
    return np.asarray(wave * throb + rng.normal(0, 0.6, num_samples))


def _sing_birds(num_samples: int, rng: np.random.Generator) -> Float64:
    """Return short chirps whose pitch bends up or down, in irregular phrases."""
    wave = np.zeros(num_samples)
    start = 0
    while start < num_samples:
        length = min(round(WAV_RATE_HZ * rng.uniform(0.05, 0.18)), num_samples - start)
        bend = np.linspace(0.0, 1.0, length)
        pitch = rng.uniform(2200, 4800) * (1 + rng.uniform(-0.3, 0.3) * bend)
        chirp = np.sin(2 * np.pi * np.cumsum(pitch) / WAV_RATE_HZ) * np.sin(np.pi * bend) ** 2
        wave[start : start + length] += rng.uniform(0.4, 1.0) * chirp
        start += length + round(WAV_RATE_HZ * rng.uniform(0.02, 0.3))
    return wave


SOURCES = {"music": _play_music, "motor": _run_motor, "birdsong": _sing_birds}


def _make_noise(num_samples: int, rng: np.random.Generator) -> Float64:
    """Return noise whose power falls with the frequency, by a different slope each time."""
    spectrum = np.fft.rfft(rng.normal(size=num_samples))
    hertz = np.fft.rfftfreq(num_samples, 1 / WAV_RATE_HZ)
    return np.fft.irfft(spectrum / np.maximum(hertz, 50.0) ** rng.uniform(0.2, 0.9), num_samples)


def _glide(plan: ClipPlan, config: SampleConfig, rng: np.random.Generator) -> Float64:
    """Return a tone that rises, or the same run backwards, over the whole seconds of the clip.

    Whole windows of one second then contain the same sounds in either direction, in opposite order.
    """
    num_samples = count_frames(plan, config) * WAV_RATE_HZ // config.frames_per_second
    length = num_samples // WAV_RATE_HZ * WAV_RATE_HZ
    lowest = rng.uniform(350, 600)
    pitch = lowest * rng.uniform(3.0, 4.5) ** np.linspace(0.0, 1.0, length)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / WAV_RATE_HZ)
    wave = np.zeros(num_samples)
    wave[:length] = tone[::-1] if plan.tone == "falling tone" else tone
    return wave


def _beep(num_samples: int, rng: np.random.Generator) -> Float64:
    """Return a steady pitch switched on and off."""
    time = _seconds(num_samples)
    is_on = (time * rng.uniform(2.5, 4.5) + rng.random()) % 1.0 < BEEP_FRACTION
    return np.asarray(is_on * np.sin(2 * np.pi * rng.uniform(900, 1300) * time))
