"""The pictures hold the numbers they were given, at the places where they belong."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rendering.svg_plots import (
    BOTTOM,
    LEFT,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    RIGHT,
    TOP,
    Series,
    count_map,
    heat_map,
    histogram,
    line_plot,
    nice_ticks,
)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("text")]  # noqa: S314


def nodes(svg: str, name: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(name))  # noqa: S314


def test_heat_map_shades_rows_by_share_and_writes_the_counts() -> None:
    svg = heat_map([[3, 1], [0, 12_000]], ["cat <b>", "一二三四五六七八九十一二三"])
    cells = [node for node in nodes(svg, "rect") if node.get("class") == "cell"]
    assert [cell.get("fill-opacity") for cell in cells] == ["0.75", "0.25", "0", "1"]
    shown = texts(svg)
    assert [text for text in shown if text in {"3", "1", "0", "12k"}] == ["3", "1", "12k"]
    assert sum("一二三四五六七八九十…" in text for text in shown) == 2  # beside its row and above its column
    tooltips = [node.text for node in nodes(svg, "title")]
    assert "cat <b> → 一二三四五六七八九十一二三: 1" in tooltips
    # rows are apart by one cell, columns too: the picture is not transposed
    assert cells[0].get("y") == cells[1].get("y")
    assert cells[0].get("x") == cells[2].get("x")


def test_a_row_without_clips_stays_blank() -> None:
    cells = [node for node in nodes(heat_map([[0]], ["a"]), "rect") if node.get("class") == "cell"]
    assert [cell.get("fill-opacity") for cell in cells] == ["0"]


def test_count_map_shades_by_the_totals_and_may_be_wider_than_high() -> None:
    svg = count_map("Together", [[3, 0, 1]], ["Beach (海滩)"], ["sun", "sea", "sand"], [6])
    cells = [node for node in nodes(svg, "rect") if node.get("class") == "cell"]
    assert [cell.get("fill-opacity") for cell in cells] == ["0.5", "0", "0.17"]
    assert [text for text in texts(svg) if text.isdigit()] == ["3", "1"]
    assert {"Beach (海滩)", "sun", "sea", "sand"} <= set(texts(svg)) | {node.text for node in nodes(svg, "title")}
    assert "Beach (海滩) + sand: 1" in [node.text for node in nodes(svg, "title")]
    (frame,) = [node for node in nodes(svg, "rect") if node.get("class") == "frame"]
    assert float(frame.get("width") or 0) == 3 * float(frame.get("height") or 0)


def test_the_bars_of_a_histogram_are_as_high_as_their_counts() -> None:
    svg = histogram("Durations", ["0", "1", "2 m"], [50, 0, 100])
    bars = [node for node in nodes(svg, "rect") if node.get("class") == "column"]
    heights = [float(bar.get("height") or 0) for bar in bars]
    assert heights == [heights[2] / 2, 0, PANEL_HEIGHT - TOP - BOTTOM]
    assert {float(bar.get("y") or 0) + height for bar, height in zip(bars, heights, strict=True)} == {
        PANEL_HEIGHT - BOTTOM
    }
    assert {"0", "1", "2 m", "100"} <= set(texts(svg))
    assert "from 2 m: 100" in [node.text for node in nodes(svg, "title")]


def test_a_histogram_of_nothing_has_no_half_clips_on_its_axis() -> None:
    assert set(texts(histogram("Durations", ["a"], [0]))) == {"a", "0"}
    assert not any("." in text for text in texts(histogram("Durations", ["a"], [2])))


def test_lines_run_through_their_points() -> None:
    svg = line_plot("Loss", [Series("train", ((1, 0.0), (2, 5.0), (3, 10.0)))], marked_x=2)
    (line,) = nodes(svg, "polyline")
    points = [tuple(map(float, pair.split(","))) for pair in (line.get("points") or "").split()]
    low, high, middle = PANEL_HEIGHT - BOTTOM, TOP, (PANEL_WIDTH - RIGHT + LEFT) / 2
    assert points == [(LEFT, low), (middle, (low + high) / 2), (PANEL_WIDTH - RIGHT, high)]
    (mark,) = [node for node in nodes(svg, "line") if node.get("class") == "mark"]
    assert float(mark.get("x1") or 0) == middle
    assert {"0", "10", "1", "2", "3"} <= set(texts(svg))


def test_one_epoch_is_a_dot() -> None:
    svg = line_plot("Loss", [Series("train", ((1, 0.3),)), Series("validation", ((1, 0.4),))])
    assert [node.get("class") for node in nodes(svg, "circle")] == ["dot series-0", "dot series-1"]


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
