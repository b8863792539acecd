"""Log-mel spectrum of a waveform in numpy: the weightless description of sound.

Sampling at 16 kHz, frames of 25 ms every 10 ms under a periodic Hann window, 512-point FFT, power spectrum,
64 triangular bands equally spaced on the HTK mel scale between 0 and 8,000 Hz, natural logarithm with a
floor. Source of the mel scale: S. Young et al., The HTK Book, section 5.4 (2595 log10(1 + f / 700)).
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from features.formats.tar_shard import SAMPLE_RATE_HZ

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# When what is computed here or in ``logmel_extractor`` changes, so does the version in ``features.backbones.families``.
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SAMPLES = 512
NUM_BANDS = 64
# The rounding of 16-bit samples alone gives about 3e-8 in a band, so digital silence is just below real
# quiet.
POWER_FLOOR = 1e-8
# Frames transformed at a time: the workspace stays at some 20 MB however long the sound is.
BLOCK_FRAMES = 2048


def hz_to_mel(hz: Float64) -> Float64:
    """Return HTK mels for frequencies in Hz."""
    return 2595.0 * np.log10(1.0 + hz / 700.0)


def mel_to_hz(mel: Float64) -> Float64:
    """Return frequencies in Hz for HTK mels."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@functools.cache
def mel_filters() -> Float64:
    """Return ``(64, 257)`` weights of the FFT's power bins in each band.

    Band m is a triangle of height 1 over the edges m, m + 1 and m + 2 of 66 points equally spaced in mel.
    """
    top_hz = np.array(SAMPLE_RATE_HZ / 2)
    edges_hz = mel_to_hz(np.linspace(0.0, hz_to_mel(top_hz), NUM_BANDS + 2))
    bins_hz = np.linspace(0.0, top_hz, FFT_SAMPLES // 2 + 1)
    left, centre, right = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters.setflags(write=False)
    return filters


def hann_window() -> Float64:
    """Return the ``(400,)`` periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)


def log_mel(samples: Float32) -> Float32:
    """Return the ``(F, 64)`` natural logarithm of the band powers of ``(S,)`` samples at 16 kHz, S >= 1.

    Frame f covers the samples from ``160 f`` to ``160 f + 400``; sound shorter than one frame is filled up
    with zeros. Powers below ``POWER_FLOOR`` count as the floor, so silence is finite. A sample that is not
    finite makes the frames that contain it NaN.
    """
    missing = max(0, FRAME_SAMPLES - samples.shape[0])
    whole = np.pad(samples, (0, missing)) if missing else samples
    frames = np.lib.stride_tricks.sliding_window_view(whole, FRAME_SAMPLES)[::HOP_SAMPLES]
    window, filters = hann_window(), mel_filters().T
    bands = np.empty((frames.shape[0], NUM_BANDS), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, frames.shape[0], BLOCK_FRAMES):
            block = frames[start : start + BLOCK_FRAMES] * window
            spectrum = np.fft.rfft(block, FFT_SAMPLES)
            power = spectrum.real**2 + spectrum.imag**2
            bands[start : start + BLOCK_FRAMES] = np.log(np.maximum(power @ filters, POWER_FLOOR))
    return bands
