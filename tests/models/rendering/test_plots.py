"""The pictures show the numbers they were given, at the places where they belong."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rendering.plots import (
    BOTTOM,
    CELL,
    LEFT,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    RIGHT,
    TOP,
    Series,
    count_matrix,
    histogram,
    line_plot,
    nice_ticks,
)

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314


def paths(svg: str, colour: str) -> list[list[tuple[float, float]]]:
    """Return the corners of every path in a colour of the theme."""
    found = [node for node in ET.fromstring(svg).iter(f"{SVG}path") if f"var(--{colour})" in node.get("style", "")]  # noqa: S314
    return [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", node.get("d", ""))] for node in found]


def cells(svg: str) -> dict[str, tuple[float, float, float]]:
    """Return tooltip -> left, top and shade of every cell that is not empty."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):  # noqa: S314
        title, path = group.find(f"{SVG}title"), group.find(f"{SVG}path")
        if title is not None and path is not None and "--heat" in path.get("style", ""):
            corners = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path.get("d", ""))]
            shade = re.search(r"opacity: ([\d.]+)", path.get("style", ""))
            left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
            found[title.text or ""] = (left, top, 1.0 if shade is None else float(shade[1]))
    return found


def test_a_matrix_shades_its_cells_by_their_share_and_writes_the_counts() -> None:
    names = ["cat <b>", "一二三四五六七八九十一二三"]
    svg = count_matrix("Confusion", [[3, 1], [0, 12_000]], (names, names), [4, 12_000], " → ")
    found = cells(svg)
    long = "一二三四五六七八九十一二三"
    assert {name: shade for name, (_, _, shade) in found.items()} == {
        "cat <b> → cat <b>: 3": 0.75, f"cat <b> → {long}: 1": 0.25, f"{long} → {long}: 12000": 1,
    }  # fmt: skip
    shown = texts(svg)
    assert [text for text in shown if text in {"3", "1", "0", "12k"}] == ["3", "1", "12k"]
    assert sum("一二三四五六七八九十…" in text for text in shown) == 2  # beside its row and above its column
    # Columns and rows are one cell apart: the picture is not transposed.
    (left, top, _), (right, same, _), (_, low, _) = found.values()
    assert (right - left, same - top, low - top) == pytest.approx((CELL, 0, CELL))


def test_a_row_without_clips_stays_blank() -> None:
    assert cells(count_matrix("", [[0]], (["a"], ["a"]), [0])) == {}


def test_a_count_matrix_shades_by_the_totals_and_may_be_wider_than_high() -> None:
    svg = count_matrix("Together", [[3, 0, 1]], (["Beach (海滩)"], ["sun", "sea", "sand"]), [6])
    found = cells(svg)
    assert [(name, round(shade, 2)) for name, (_, _, shade) in found.items()] == [
        ("Beach (海滩) + sun: 3", 0.5), ("Beach (海滩) + sand: 1", 0.17),
    ]  # fmt: skip
    assert [text for text in texts(svg) if text.isdigit()] == ["3", "1"]
    assert {"Beach (海滩)", "sun", "sea", "sand"} <= set(texts(svg))


def test_the_bars_of_a_histogram_are_as_high_as_their_counts() -> None:
    svg = histogram("Durations", ["0", "1", "2 m"], [50, 0, 100])
    heights = [max(y for _, y in bar) - min(y for _, y in bar) for bar in paths(svg, "bar")]
    assert heights == pytest.approx([heights[2] / 2, 0, PANEL_HEIGHT - TOP - BOTTOM])
    assert {max(y for _, y in bar) for bar in paths(svg, "bar")} == {PANEL_HEIGHT - BOTTOM}
    assert {"0", "1", "2 m", "100"} <= set(texts(svg))
    assert "<title>from 2 m: 100</title>" in svg


def test_a_histogram_of_nothing_has_no_half_clips_on_its_axis() -> None:
    assert set(texts(histogram("Durations", ["a"], [0]))) == {"a", "0", "1"}
    assert not any("." in text for text in texts(histogram("Durations", ["a"], [2])))


def test_lines_pass_through_their_points() -> None:
    svg = line_plot("Loss", [Series("train", ((1, 0.0), (2, 5.0), (3, 10.0)))], marked_x=2)
    (line,) = paths(svg, "s0")
    low, high, middle = PANEL_HEIGHT - BOTTOM, TOP, (PANEL_WIDTH - RIGHT + LEFT) / 2
    assert line == [(LEFT, low), (middle, (low + high) / 2), (PANEL_WIDTH - RIGHT, high)]
    (mark,) = paths(svg, "soft")
    assert {x for x, _ in mark} == {middle}
    assert {"0", "10", "1", "2", "3"} <= set(texts(svg))


def test_one_epoch_is_a_dot() -> None:
    svg = line_plot("Loss", [Series("train", ((1, 0.3),)), Series("validation", ((1, 0.4),))])
    dots = [node.get("style", "") for node in ET.fromstring(svg).iter(f"{SVG}use")]  # noqa: S314
    assert [re.findall(r"fill: var\(--(s\d)\)", style) for style in dots] == [["s0"], ["s1"]]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 2.3, [0, 0.5, 1, 1.5, 2, 2.5]),
        (0, 0, [0, 0.2]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_nice_ticks(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_enclose_the_values_and_are_few(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + step * 1e-6
    assert ticks[-1] >= low + span - step * 1e-6
    assert 2 <= len(ticks) <= 8
