"""Brings sound from 16 kHz to the rate that a network was trained with."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.signal import firwin, resample_poly

from features.backbones.audio.logmel import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from features.formats.clip_data import Float32

# Zero crossings of the low-pass filter on each side of its centre, and the shape of its Kaiser window: what
# lies 10 % above the lower of the two Nyquist frequencies is 80 dB down.
FILTER_CROSSINGS = 32
KAISER_BETA = 9.0


def resample(samples: Float32, rate_hz: int) -> Float32:
    """Return ``(ceil(S rate / 16000),)`` samples at ``rate_hz`` of ``(S,)`` samples at 16 kHz.

    A polyphase filter with linear phase; before and after the sound there is silence. Nothing is added above
    8 kHz.
    """
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    up, down = _ratio(rate_hz)
    resampled: Float32 = resample_poly(samples.astype(np.float64), up, down, window=_low_pass(up, down)).astype(
        np.float32
    )
    return resampled


def _ratio(rate_hz: int) -> tuple[int, int]:
    common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    return rate_hz // common, SAMPLE_RATE_HZ // common


@functools.cache
def _low_pass(up: int, down: int) -> npt.NDArray[np.float64]:
    factor = max(up, down)
    taps: npt.NDArray[np.float64] = firwin(
        2 * FILTER_CROSSINGS * factor + 1, 1 / factor, window=("kaiser", KAISER_BETA)
    )
    return taps
