"""Plot of the sound of a clip: waveform and log-mel spectrum over one time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features.backbones.audio.logmel import FRAME_SAMPLES, HOP_SAMPLES, NUM_BANDS, hz_to_mel, log_mel
from features.base.figures import COLOURS, new_figure, save_png
from features.formats.tar_shard import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from features.formats.clip_data import Waveform

    Float32 = npt.NDArray[np.float32]

MAX_COLUMNS = 1600  # a screen resolves no more
TICKS_HZ = (125, 250, 500, 1000, 2000, 4000, 7000)
DECIBELS_PER_NEPER = 10 / np.log(10)
# Range below the loudest band of the clip; quieter bands are black.
RANGE_DECIBELS = 80.0


def draw_sound(sound: Waveform, title: str, path: Path) -> None:
    """Write waveform and log-mel spectrum of sound at 16 kHz, of one sample or more, as a PNG."""
    start, seconds = sound.start_seconds, len(sound.samples) / SAMPLE_RATE_HZ
    end = start + seconds
    low, high = envelope(sound.samples)
    bands = _averaged(log_mel(sound.samples)) * DECIBELS_PER_NEPER
    darkest, brightest = _range(bands)
    # Frame f covers the 25 ms from 10 f ms on; a column is drawn at its middle.
    shift = (FRAME_SAMPLES - HOP_SAMPLES) / 2 / SAMPLE_RATE_HZ
    with new_figure(12, 5.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
        middles = start + (np.arange(len(low)) + 0.5) * seconds / len(low)
        upper.fill_between(middles, low, high, color=COLOURS[0], linewidth=0.4)
        limit = max(float(np.abs(sound.samples).max()) * 1.05, 1e-3)
        upper.set(ylabel="amplitude (full scale = 1)", ylim=(-limit, limit))
        upper.grid(visible=True, alpha=0.25)
        upper.set_axisbelow(True)
        picture = lower.imshow(
            bands.T,
            aspect="auto",
            origin="lower",
            cmap="magma",
            vmin=darkest,
            vmax=brightest,
            extent=(start + shift, max(end - shift, start + shift + 1e-3), -0.5, NUM_BANDS - 0.5),
            interpolation="nearest",
        )
        lower.set(xlabel="time in the clip (s)", ylabel="frequency (Hz, mel scale)", xlim=(start, end))
        lower.set_yticks([band_of(hz) for hz in TICKS_HZ], [f"{hz:,}" for hz in TICKS_HZ])
        figure.colorbar(picture, ax=[upper, lower], label="band power (dB)", aspect=40)
        save_png(figure, path, title)


def _range(bands: Float32) -> tuple[float, float]:
    """Return the powers of black and of white, in dB; silence is black."""
    peak = float(bands.max())
    low = max(peak - RANGE_DECIBELS, float(np.percentile(bands, 1)))
    return (low, peak) if low < peak else (peak, peak + RANGE_DECIBELS)


def envelope(samples: Float32) -> tuple[Float32, Float32]:
    """Return minimum and maximum of up to 1,600 equal segments of ``(S,)`` samples, S >= 1."""
    cuts = np.unique(np.linspace(0, len(samples), min(len(samples), MAX_COLUMNS) + 1).astype(int))[:-1]
    return np.minimum.reduceat(samples, cuts), np.maximum.reduceat(samples, cuts)


def band_of(hz: float) -> float:
    """Return the position of a frequency on the axis of the 64 bands; the middle of band m is at m."""
    top_mel = float(hz_to_mel(np.array(SAMPLE_RATE_HZ / 2)))
    return float(hz_to_mel(np.array(hz))) / top_mel * (NUM_BANDS + 1) - 1


def _averaged(bands: Float32) -> Float32:
    """Return ``(F, 64)`` bands as at most 1,600 rows, the mean of neighbours."""
    cuts = np.unique(np.linspace(0, len(bands), min(len(bands), MAX_COLUMNS) + 1).astype(int))
    sums = np.add.reduceat(bands, cuts[:-1], axis=0)
    return (sums / np.diff(cuts)[:, None]).astype(np.float32)
