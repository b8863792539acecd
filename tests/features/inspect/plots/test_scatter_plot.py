from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.inspect.plots.scatter_plot import MAX_STYLES, Panel, Plane, category_style, draw_scatter

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

PLANE = Plane(np.array([[0, 0], [1, 0], [0, 1], [2, 2]], np.float32), ("first", "second"))


def drawn(figure: Figure, panel: int) -> dict[str, list[list[float]]]:
    return {
        str(points.get_label()): np.asarray(points.get_offsets()).tolist()
        for points in figure.axes[panel].collections
        if not str(points.get_label()).startswith("_")
    }


def test_every_clip_is_drawn_once_under_its_category(tmp_path: Path, figures: list[Figure]) -> None:
    draw_scatter(PLANE, [Panel("category", ["b", "a", None, "b"])], "title", None, tmp_path / "a.png")
    assert drawn(figures[0], 0) == {"b": [[0, 0], [2, 2]], "a": [[1, 0]], "(no category)": [[0, 1]]}
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "(no category)"]
    assert (figures[0].axes[0].get_xlabel(), figures[0].axes[0].get_ylabel()) == ("first", "second")


def test_a_category_looks_the_same_in_both_panels(tmp_path: Path, figures: list[Figure]) -> None:
    panels = [Panel("predicted", ["b", "b", "b", "b"]), Panel("true", ["a", "b", "a", "b"])]
    draw_scatter(PLANE, panels, "title", 3, tmp_path / "a.png")
    colours = [
        {str(points.get_label()): np.asarray(points.get_facecolor())[0].tolist() for points in axes.collections[:-1]}
        for axes in figures[0].axes
    ]
    assert colours[0]["b"] == colours[1]["b"] != colours[1]["a"]
    # The ring round the chosen clip.
    assert [np.asarray(axes.collections[-1].get_offsets()).tolist() for axes in figures[0].axes] == [[[2, 2]]] * 2


def test_without_categories_there_is_one_colour_and_no_legend(tmp_path: Path, figures: list[Figure]) -> None:
    draw_scatter(PLANE, [Panel("", [None] * 4)], "title", 0, tmp_path / "a.png")
    assert len(drawn(figures[0], 0)) == 1
    assert not figures[0].legends


def test_colours_and_marks_are_42_different_pairs() -> None:
    assert len({category_style(number) for number in range(MAX_STYLES)}) == MAX_STYLES == 42


# Measuring the legend draws it again, on a machine that may have no Chinese font.
@pytest.mark.filterwarnings("ignore:Glyph .* missing from:UserWarning")
@pytest.mark.parametrize("count", [31, 60])
def test_many_categories_keep_a_legend_beside_the_points(count: int, tmp_path: Path, figures: list[Figure]) -> None:
    names = [f"分类 {number:02d} a rather long name of a category" for number in range(count)]
    plane = Plane(np.random.default_rng(0).normal(size=(2 * count, 2)).astype(np.float32), ("x", "y"))
    draw_scatter(plane, [Panel("category", names * 2)], "title", None, tmp_path / "a.png")
    (legend,) = figures[0].legends
    assert len(legend.get_texts()) == (count if count <= 42 else 43)
    box, axes = legend.get_window_extent(), figures[0].axes[0].get_window_extent()
    assert box.x0 > axes.x1
    assert box.y0 >= 0
    assert box.x1 <= figures[0].bbox.x1
    assert axes.width > 180
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width < 1000
