"""``dsp:logmel``: mean and deviation of each log-mel band per window of sound, without any weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from features.backbones.audio.logmel import FRAME_SAMPLES, HOP_SAMPLES, NUM_BANDS, POWER_FLOOR, log_mel
from features.backbones.audio.sound_windows import SampleReader, WindowSizes, check_sample_rate, window_starts
from features.backbones.extractor.extractor import BatchedExtractor, StepLabels
from features.backbones.extractor.streaming import Computed
from features.base.errors import SettingError
from features.base.machine import tool_versions
from features.formats.tar_shard import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.streaming import Piece
    from features.formats.clip_data import Float32, Sound

# A window is held in memory as a whole: 19 MB of samples and as much of bands.
MAX_WINDOW_SECONDS = 300
# Windows that overlap share their spectrum, over stretches of about this many samples (20 s) and so many
# windows.
STRETCH_SAMPLES = 320_000
MAX_STRETCH_WINDOWS = 64
# Samples around a stretch that its windows may need: a window without a whole frame of its own takes the
# nearest one, which begins less than a hop and a frame before it, or ends so much behind it.
MARGIN_SAMPLES = 4 * HOP_SAMPLES


class LogMelExtractor(BatchedExtractor["Sound"]):
    """Statistics of the log-mel spectrum in windows of sound.

    Windows begin every ``hop_seconds`` until every sample is covered; the last one may be shorter, and sound
    shorter than a window gives one window over what there is. The features of a window are the mean of each
    of the 64 bands over its frames, then the standard deviation (divided by the count) of each: 128 numbers.
    The time of a window is its centre. Silence gives the logarithm of the floor, with deviation 0. A sample
    that is not finite makes the windows that contain it NaN.
    """

    def __init__(self, config: ExtractConfig) -> None:
        if config.window_seconds > MAX_WINDOW_SECONDS:
            raise SettingError(
                f"window_seconds {config.window_seconds:g} is too long for {config.backbone}: "
                f"give at most {MAX_WINDOW_SECONDS}"
            )
        self._sizes = WindowSizes.of_seconds(config.window_seconds, config.hop_seconds)
        provenance = {
            "backbone": config.backbone,
            "weights_sha256": config.weights_identity(),
            "preprocessing": (
                "mono 16 kHz; 25 ms Hann frames every 10 ms, 512-point power spectrum, 64 HTK mel bands from "
                f"0 to 8000 Hz, ln with floor {POWER_FLOOR:g}; mean and deviation of each band in windows of "
                f"{config.window_seconds:g} s every {config.hop_seconds:g} s; time is the window's centre"
            ),
            "runtime": "numpy",
            "versions": tool_versions("numpy"),
        }
        super().__init__(config, 2 * NUM_BANDS, provenance)

    def pieces(self, clip: Sound) -> Iterator[Piece[StepLabels, Float32]]:
        """Yield a call for some windows at a time.

        Raises:
            SettingError: The sound has another sample rate than 16 kHz.
        """
        check_sample_rate(clip, self.provenance["backbone"])
        for stretch in _stretches(clip, self._sizes):
            yield partial(stretch.features, clip.start_seconds)


def load(config: ExtractConfig) -> LogMelExtractor:
    """Return the extractor that ``dsp:logmel`` names.

    Raises:
        SettingError: The window is longer than 300 seconds.
    """
    return LogMelExtractor(config)


@dataclass(frozen=True)
class _Stretch:
    """Some successive windows.

    Attributes:
        samples: Those of the windows and up to ``MARGIN_SAMPLES`` on each side.
        first: Position of the first sample in the sound, on the grid of frames.
        windows: Start and stop of each window in the sound.
    """

    samples: Float32
    first: int
    windows: list[tuple[int, int]]

    def features(self, start_seconds: float) -> list[Computed[StepLabels, Float32]]:
        """Return the statistics of the windows, ``(n, 128)``, which need no network."""
        bands = log_mel(self.samples)  # (F, 64)
        rows = np.stack([_statistics(bands, start - self.first, stop - self.first) for start, stop in self.windows])
        centres = [(start + stop) / 2 / SAMPLE_RATE_HZ for start, stop in self.windows]
        labels = StepLabels(np.array(centres, np.float32) + np.float32(start_seconds))
        return [Computed(labels, rows)]


def _stretches(sound: Sound, sizes: WindowSizes) -> Iterator[_Stretch]:
    """Yield the windows of a sound, some at a time."""
    reader = SampleReader(sound.blocks)
    starts: list[int] = []
    for start in window_starts(reader, sizes):
        starts.append(start)
        if len(starts) == _num_windows(sizes):
            yield _stretch(reader, starts, sizes.window)
            starts = []
    if starts:
        yield _stretch(reader, starts, sizes.window)


def _num_windows(sizes: WindowSizes) -> int:
    """Return how many windows a stretch has at most."""
    return min(MAX_STRETCH_WINDOWS, 1 + max(0, STRETCH_SAMPLES - sizes.window) // sizes.hop)


def _stretch(reader: SampleReader, starts: list[int], window: int) -> _Stretch:
    first = max(0, starts[0] - MARGIN_SAMPLES) // HOP_SAMPLES * HOP_SAMPLES
    samples = reader.between(first, starts[-1] + window + MARGIN_SAMPLES)
    end = first + samples.size
    return _Stretch(samples, first, [(start, min(start + window, end)) for start in starts])


def _statistics(bands: Float32, start: int, stop: int) -> Float32:
    """Return ``(128,)`` statistics of the frames that lie in ``[start, stop)``, at least the nearest."""
    first = min(math.ceil(start / HOP_SAMPLES), bands.shape[0] - 1)
    last = min((stop - FRAME_SAMPLES) // HOP_SAMPLES, bands.shape[0] - 1)
    inside = bands[first : max(first, last) + 1].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.concatenate([inside.mean(axis=0), inside.std(axis=0)]).astype(np.float32)
