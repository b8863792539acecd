from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.backbones.audio.logmel import log_mel
from features.formats.clip_data import Waveform
from features.inspect.plots.sound_plot import MAX_COLUMNS, band_of, draw_sound, envelope

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def tone(hz: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(16000 * seconds)) / 16000)).astype(np.float32)


@pytest.mark.parametrize("hz", [250, 1000, 4000])
def test_a_tone_lies_on_the_axis_where_its_frequency_is_written(hz: int) -> None:
    loudest = int(log_mel(tone(hz, 0.5)).mean(axis=0).argmax())
    assert abs(band_of(hz) - loudest) <= 0.6


@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_the_envelope_misses_no_sample(count: int, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(size=count).astype(np.float32)
    low, high = envelope(samples)
    assert len(low) == len(high) == min(count, MAX_COLUMNS)
    assert (low <= high).all()
    assert (low.min(), high.max()) == (samples.min(), samples.max())


def test_waveform_and_spectrum_share_the_clip_s_clock(tmp_path: Path, figures: list[Figure]) -> None:
    draw_sound(Waveform(tone(1000, 3), 16000, start_seconds=0.5), "clip", tmp_path / "a.png")
    upper, lower = figures[0].axes[:2]
    assert upper.get_xlim() == lower.get_xlim() == (0.5, 3.5)
    image = lower.images[0]
    left, right, bottom, top = image.get_extent()
    assert (bottom, top) == (-0.5, 63.5)
    assert 0.5 < left < right < 3.5
    # 10 log10 of the band powers, as log_mel gives them in nepers.
    np.testing.assert_allclose(np.asarray(image.get_array()), log_mel(tone(1000, 3)).T * 10 / np.log(10), rtol=1e-5)
    assert lower.get_xlabel() == "time in the clip (s)"


@pytest.mark.parametrize(
    "samples", [np.zeros(16000), np.zeros(1), np.ones(7), tone(300, 40.0)], ids=["silence", "one", "short", "long"]
)
def test_any_sound_is_drawn(samples: np.ndarray, tmp_path: Path, figures: list[Figure]) -> None:
    draw_sound(Waveform(samples.astype(np.float32), 16000), "clip", tmp_path / "a.png")
    image = figures[0].axes[1].images[0]
    shown = image.get_array()
    assert shown is not None
    assert shown.shape[1] <= MAX_COLUMNS
    low, high = image.get_clim()
    assert low < high
    if not samples.any():
        # Silence is black, not the loudest colour.
        assert shown.max() == low
