from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.inspect.plots.step_plots import Steps, draw_heat_map, draw_similarity
from tests.features.inspect.published import FEATURES

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

STEPS = Steps("time in the clip (s)", ["0", "0.5", "1"])


def test_a_heat_map_shows_every_number_with_its_time(tmp_path: Path, figures: list[Figure]) -> None:
    draw_heat_map(FEATURES, STEPS, ("clip1", "frames   b:n"), tmp_path / "a.png")
    axes = figures[0].axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), FEATURES)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "0.5", "1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("dimension", "time in the clip (s)")
    assert figures[0].get_suptitle() == "clip1\nframes   b:n"
    # No value is below 0: one scale of lightness.
    assert axes.images[0].get_cmap().name == "cividis"
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 600


def test_features_of_both_signs_have_two_colours_that_meet_at_0(tmp_path: Path, figures: list[Figure]) -> None:
    draw_heat_map(FEATURES - 3, STEPS, ("", ""), tmp_path / "a.png")
    image = figures[0].axes[0].images[0]
    low, high = image.get_clim()
    assert image.get_cmap().name == "RdBu_r"
    assert low == -high


def test_similarity_is_the_cosine_between_steps(tmp_path: Path, figures: list[Figure]) -> None:
    features = np.array([[3.0, 4.0], [6.0, 8.0], [0.0, 5.0], [0.0, 0.0]], np.float32)
    draw_similarity(features, Steps("token", ["a", "b", "c", "d"]), ("clip", ""), tmp_path / "a.png")
    shown = np.asarray(figures[0].axes[0].images[0].get_array())
    expected = np.array([[1, 1, 0.8, 0], [1, 1, 0.8, 0], [0.8, 0.8, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert [label.get_text() for label in figures[0].axes[0].get_xticklabels()] == ["a", "b", "c", "d"]


def test_many_steps_keep_their_labels_legible(tmp_path: Path, figures: list[Figure]) -> None:
    features = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    steps = Steps("time in the clip (s)", [f"{number / 2:g}" for number in range(200)])
    draw_similarity(features, steps, ("", ""), tmp_path / "a.png")
    labels = [label.get_text() for label in figures[0].axes[0].get_yticklabels()]
    assert len(labels) == 40
    assert (labels[0], labels[-1]) == ("0", "99.5")
    with Image.open(tmp_path / "a.png") as picture:
        assert max(picture.size) < 750


@pytest.mark.parametrize("title", ["a$b_{$", "猫", "a\\b^", "x" * 200, "🎬"])
def test_a_heat_map_of_zeros_and_a_title_in_any_script_are_no_error(
    tmp_path: Path, title: str, figures: list[Figure]
) -> None:
    draw_heat_map(np.zeros((1, 3), np.float32), Steps("token", ["$x$"]), (title, title), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    first = figures[0].get_suptitle().split("\n")[0]
    assert first == title or (first.endswith("…") and len(first) < 140)
