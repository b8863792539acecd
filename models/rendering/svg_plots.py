"""Plots as SVG inside the page, so that the browser's fonts write the labels and its theme sets the colours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.rendering.markup import Html, element, join
from models.rendering.terminal_table import display_width, shorten

CELL = 30  # pixels, of the heat map
LABEL_COLUMNS = 22  # longer labels are cut; the full one is the tooltip
COLUMN_PIXELS = 7.2  # of a 12-pixel character
SHADE_OF_WHITE_TEXT = 0.55  # from this shade on, dark text on it would be hard to read

PANEL_WIDTH, PANEL_HEIGHT = 540, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 34  # margins of a panel
NUM_TICKS = 5


@dataclass(frozen=True)
class Series:
    """One line of a plot: its name in the legend, and (x, y) points in the order of x."""

    name: str
    points: tuple[tuple[float, float], ...]


def heat_map(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Html:
    """Return a ``(K, K)`` matrix of counts as a picture, K >= 1: rows are true, columns predicted classes.

    A cell's shade is its share of its row, its number the count; an empty cell is left blank.
    """
    shades = [[count / max(1, sum(counts)) for count in counts] for counts in matrix]
    return _grid("Confusion matrix", " → ", (names, names), matrix, shades)


def count_map(
    title: str,
    matrix: Sequence[Sequence[int]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    row_totals: Sequence[int],
) -> Html:
    """Return an ``(R, K)`` matrix of counts as a picture, R and K >= 1.

    A cell's shade is its count over its row's total, its number the count; an empty cell is left blank.
    """
    shades = [[count / max(1, total) for count in counts] for counts, total in zip(matrix, row_totals, strict=True)]
    return _grid(title, " + ", (row_names, column_names), matrix, shades)


def _grid(
    title: str,
    joint: str,
    names: tuple[Sequence[str], Sequence[str]],
    counts: Sequence[Sequence[int]],
    shades: Sequence[Sequence[float]],
) -> Html:
    """Return cells with the names of their rows and columns; ``joint`` stands between the two in a tooltip."""
    rows, columns = ([shorten(name, LABEL_COLUMNS) for name in side] for side in names)
    margin = max(map(display_width, rows)) * COLUMN_PIXELS + 12
    lean = (max(map(display_width, columns)) * COLUMN_PIXELS + 12) * math.sin(math.radians(45))
    top = lean + 20  # the labels of the columns lean by 45 degrees
    parts = []
    for column, (name, label) in enumerate(zip(names[1], columns, strict=True)):
        parts.append(_leaning_text(label, margin + (column + 0.5) * CELL, top - 8, tooltip=name))
    for row, (name, label) in enumerate(zip(names[0], rows, strict=True)):
        parts.append(_text(label, margin - 8, top + (row + 0.5) * CELL, "end", tooltip=name))
        for column, other in enumerate(names[1]):
            corner = (margin + column * CELL, top + row * CELL)
            parts.append(_cell(counts[row][column], shades[row][column], corner, f"{name}{joint}{other}"))
    width, height = CELL * len(columns), CELL * len(rows)
    parts.append(element("rect", class_="frame", x=margin, y=top, width=width, height=height))
    return _picture(margin + width + top, top + height + 4, title, parts)


def histogram(title: str, edges: Sequence[str], counts: Sequence[int]) -> Html:
    """Return K >= 1 upright bars of counts; ``edges`` names where each of them starts."""
    ticks = nice_ticks(0, max(counts))
    width = (PANEL_WIDTH - LEFT - RIGHT) / len(counts)
    floor = PANEL_HEIGHT - BOTTOM
    parts = []
    for tick in ticks:
        y = floor - tick / ticks[-1] * (floor - TOP)
        parts.append(element("line", class_="grid", x1=LEFT, x2=PANEL_WIDTH - RIGHT, y1=y, y2=y))
        if tick == int(tick):
            parts.append(_text(_count(int(tick)), LEFT - 8, y, "end"))
    for index, (edge, count) in enumerate(zip(edges, counts, strict=True)):
        x, height = LEFT + index * width, count / ticks[-1] * (floor - TOP)
        bar = element("rect", class_="column", x=x + 1, y=floor - height, width=width - 2, height=height)
        parts.append(element("g", element("title", f"from {edge}: {count:,}"), bar))
        parts.append(_text(edge, x, floor + 16, "middle"))
    return _picture(PANEL_WIDTH, PANEL_HEIGHT, title, parts)


def line_plot(title: str, series: Sequence[Series], marked_x: float | None = None) -> Html:
    """Return lines over x, at least one point in all; `marked_x` gets a dashed upright line.

    The axis of y holds all points, and starts at 0 unless a value is negative.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    y_ticks = nice_ticks(min(0.0, *ys), max(ys))
    x_low, x_high = min(xs), max(*xs, min(xs) + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + across * (PANEL_WIDTH - LEFT - RIGHT), PANEL_HEIGHT - BOTTOM - up * (PANEL_HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in y_ticks:
        _, y = place(x_low, tick)
        parts.append(element("line", class_="grid", x1=LEFT, x2=PANEL_WIDTH - RIGHT, y1=y, y2=y))
        parts.append(_text(f"{tick:g}", LEFT - 8, y, "end"))
    below = PANEL_HEIGHT - BOTTOM + 16
    parts.extend(
        _text(f"{tick:g}", place(tick, 0)[0], below, "middle")
        for tick in nice_ticks(x_low, x_high)
        if x_low <= tick <= x_high and tick == int(tick)  # there is no half epoch
    )
    if marked_x is not None:
        x, _ = place(marked_x, 0)
        parts.append(element("line", class_="mark", x1=x, x2=x, y1=TOP, y2=PANEL_HEIGHT - BOTTOM))
    for index, line in enumerate(series):
        points = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(element("polyline", class_=f"line series-{index}", points=path))
        if len(points) == 1:
            parts.append(element("circle", class_=f"dot series-{index}", cx=points[0][0], cy=points[0][1], r=3))
    return _picture(PANEL_WIDTH, PANEL_HEIGHT, title, parts)


def nice_ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers, 1, 2 or 5 times a power of ten apart, that enclose `low` to `high`."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / NUM_TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * NUM_TICKS >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]


def _cell(count: int, shade: float, corner: tuple[float, float], tooltip: str) -> Html:
    x, y = corner
    square = element("rect", class_="cell", x=x, y=y, width=CELL, height=CELL, fill_opacity=shade)
    if not count:
        return square
    number = element(
        "text",
        _count(count),
        class_="on-shade" if shade >= SHADE_OF_WHITE_TEXT else None,
        x=x + CELL / 2,
        y=y + CELL / 2,
        text_anchor="middle",
        dominant_baseline="central",
    )
    return element("g", element("title", f"{tooltip}: {count}"), square, number)


def _count(count: int) -> str:
    """Return a count as it fits a cell, below a million: five digits do not, so they are cut to thousands."""
    return f"{count}" if count < 10_000 else f"{count // 1000}k"  # noqa: PLR2004


def _text(content: str, x: float, y: float, anchor: str, tooltip: str | None = None) -> Html:
    title = () if tooltip is None else (element("title", tooltip),)
    return element("text", *title, content, x=x, y=y, text_anchor=anchor, dominant_baseline="central")


def _leaning_text(content: str, x: float, y: float, tooltip: str) -> Html:
    place = f"translate({x:.1f} {y:.1f}) rotate(-45)"
    return element("text", element("title", tooltip), content, transform=place)


def _picture(width: float, height: float, name: str, parts: Sequence[Html]) -> Html:
    return element(
        "svg",
        join(parts),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width,
        height=height,
        role="img",
        aria_label=name,
    )
