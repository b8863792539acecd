"""``dsp:logmel``: mean and deviation of each log-mel band per window of sound, without any weights."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from features.errors import SettingError
from features.extractors.identity import weights_identity
from features.extractors.protocol import ClipFeatures, Float32, Waveform
from features.extractors.versions import tool_versions
from features.logmel import FRAME_SAMPLES, HOP_SAMPLES, NUM_BANDS, POWER_FLOOR, SAMPLE_RATE_HZ, log_mel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from features.extractors.config import ExtractConfig


class LogMelExtractor:
    """Statistics of the log-mel spectrum in windows of sound.

    Windows begin every ``hop_seconds`` until every sample is covered; the last one may be shorter, and sound
    shorter than a window gives one window over what there is. The features of a window are the mean of each
    of the 64 bands over its frames, then the standard deviation (divided by the count) of each: 128 numbers.
    The time of a window is its centre. Silence gives the logarithm of the floor, with deviation 0.
    """

    dim = 2 * NUM_BANDS

    def __init__(self, config: ExtractConfig) -> None:
        self._window_samples = max(1, round(config.window_seconds * SAMPLE_RATE_HZ))
        self._hop_samples = max(1, round(config.hop_seconds * SAMPLE_RATE_HZ))
        self._provenance = {
            "backbone": config.backbone,
            "weights_sha256": weights_identity(config),
            "preprocessing": (
                "mono 16 kHz; 25 ms Hann frames every 10 ms, 512-point power spectrum, 64 HTK mel bands from "
                f"0 to 8000 Hz, ln with floor {POWER_FLOOR:g}; mean and deviation of each band in windows of "
                f"{config.window_seconds:g} s every {config.hop_seconds:g} s; time is the window's centre"
            ),
            "runtime": "numpy",
            "versions": tool_versions("numpy"),
        }

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        return MappingProxyType(self._provenance)

    def extract(self, clips: Iterable[Waveform | None]) -> Iterator[ClipFeatures]:
        """Yield ``(T, 128)`` statistics per clip, clip by clip.

        Raises:
            SettingError: The sound has another sample rate than 16 kHz.
        """
        for clip in clips:
            yield self._describe(clip)

    def _describe(self, clip: Waveform | None) -> ClipFeatures:
        if clip is None or clip.samples.size == 0:
            return ClipFeatures(np.zeros((0, self.dim), np.float32), np.zeros(0, np.float32))
        if clip.sample_rate_hz != SAMPLE_RATE_HZ:
            raise SettingError(
                f"sound with {clip.sample_rate_hz} samples a second: dsp:logmel needs {SAMPLE_RATE_HZ}; "
                "resample it first"
            )
        bands = log_mel(clip.samples)  # (F, 64)
        windows = list(self._windows(clip.samples.size))
        features = np.stack([_statistics(bands, start, stop) for start, stop in windows])
        centres = [(start + stop) / 2 / SAMPLE_RATE_HZ for start, stop in windows]
        return ClipFeatures(features, np.array(centres, np.float32) + np.float32(clip.start_seconds))

    def _windows(self, num_samples: int) -> Iterator[tuple[int, int]]:
        extra = max(0, num_samples - self._window_samples)
        for index in range(1 + math.ceil(extra / self._hop_samples)):
            start = index * self._hop_samples
            yield start, min(start + self._window_samples, num_samples)


def load(config: ExtractConfig) -> LogMelExtractor:
    """Return the extractor that ``dsp:logmel`` names."""
    return LogMelExtractor(config)


def _statistics(bands: Float32, start: int, stop: int) -> Float32:
    """Return ``(128,)`` statistics of the frames that lie in ``[start, stop)``, at least the nearest."""
    first = min(math.ceil(start / HOP_SAMPLES), bands.shape[0] - 1)
    last = min((stop - FRAME_SAMPLES) // HOP_SAMPLES, bands.shape[0] - 1)
    inside = bands[first : max(first, last) + 1].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.concatenate([inside.mean(axis=0), inside.std(axis=0)]).astype(np.float32)
