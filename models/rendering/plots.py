"""Plots of a page: lines, histograms, and matrices of counts, as inline SVG."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.figures import SVG_PIXELS_PER_INCH, THEME, new_figure, set_tooltip, svg_text
from features.base.text import display_width, shorten_line
from models.rendering.markup import Html

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 30  # pixels, of a matrix
FONT_PIXELS = 12
LABEL_COLUMNS = 22  # longer labels are cut; the full one is the tooltip
COLUMN_PIXELS = 7.2  # of a 12-pixel character
SHADE_OF_WHITE_TEXT = 0.55  # from this shade on, dark text would be hard to read
PANEL_WIDTH, PANEL_HEIGHT = 540, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 34  # margins of a panel
NUM_TICKS = 5
COLOURS = {role: light for role, (light, _) in THEME.items()}


@dataclass(frozen=True)
class Series:
    """One line of a plot: its name in the legend, and (x, y) points in the order of x."""

    name: str
    points: tuple[tuple[float, float], ...]


def count_matrix(
    title: str,
    counts: Sequence[Sequence[int]],
    names: tuple[Sequence[str], Sequence[str]],
    row_totals: Sequence[int],
    joint: str = " + ",
) -> Html:
    """Return an ``(R, K)`` matrix of counts as a picture, R and K >= 1.

    Each cell shows its count, shaded by its fraction of the row total; empty cells are blank.

    Args:
        title: The label for screen readers.
        counts: One row of K counts for each of the R rows.
        names: Of the R rows, and of the K columns.
        row_totals: One a row.
        joint: Text between the names of row and column in a tooltip.
    """
    rows, columns = ([shorten_line(name, LABEL_COLUMNS) for name in side] for side in names)
    left = max(map(display_width, rows)) * COLUMN_PIXELS + 12
    # The labels of the columns lean by 45 degrees: they take this much above the cells, and right of them.
    lean = (max(map(display_width, columns)) * COLUMN_PIXELS + 12) * math.sin(math.radians(45)) + 20
    width, height = CELL * len(columns), CELL * len(rows)
    with _new_svg(left + width + lean, lean + height + 4) as figure:
        axes = _axes(figure, left, lean, width, height)
        axes.set(
            xlim=(0, len(columns)), ylim=(len(rows), 0), xticks=range(len(columns) + 1), yticks=range(len(rows) + 1)
        )
        axes.tick_params(length=0, labelbottom=False, labelleft=False)
        axes.grid(visible=True, color=COLOURS["rule"], linewidth=0.5, clip_on=False)
        for column, label in enumerate(columns):
            text = axes.text(column + 0.5, -8 / CELL, label, rotation=45, rotation_mode="anchor", fontsize=FONT_PIXELS)
            set_tooltip(text, names[1][column])
        for row, label in enumerate(rows):
            text = axes.text(-8 / CELL, row + 0.5, label, ha="right", va="center_baseline", fontsize=FONT_PIXELS)
            set_tooltip(text, names[0][row])
            for column, count in enumerate(counts[row]):
                if count:
                    shade = count / max(1, row_totals[row])
                    tooltip = f"{names[0][row]}{joint}{names[1][column]}: {count}"
                    _draw_cell(axes, (column, row), count, shade, tooltip)
        return Html(svg_text(figure, title))


def _draw_cell(axes: Axes, corner: tuple[int, int], count: int, shade: float, tooltip: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - only pages with plots need it

    square = Rectangle(corner, 1, 1, facecolor=COLOURS["heat"], alpha=min(1.0, shade), linewidth=0, clip_on=False)
    set_tooltip(axes.add_patch(square), tooltip)
    colour = COLOURS["on-heat" if shade >= SHADE_OF_WHITE_TEXT else "ink"]
    middle = (corner[0] + 0.5, corner[1] + 0.5)
    axes.text(*middle, _count(count), ha="center", va="center_baseline", fontsize=FONT_PIXELS, color=colour)


def histogram(title: str, edges: Sequence[str], counts: Sequence[int]) -> Html:
    """Return K >= 1 upright bars of counts; ``edges`` names the lower end of each bin."""
    with _new_svg(PANEL_WIDTH, PANEL_HEIGHT) as figure:
        axes = _panel(figure, nice_ticks(0, max(counts), whole=True))
        bars = axes.bar(range(len(counts)), counts, width=0.95, color=COLOURS["bar"], clip_on=False)
        for bar, edge, count in zip(bars, edges, counts, strict=True):
            set_tooltip(bar, f"from {edge}: {count:,}")
        axes.set_yticks(axes.get_yticks(), [_count(int(tick)) for tick in axes.get_yticks()])
        axes.set_xticks(range(len(counts)), edges)
        axes.set_xlim(-0.5, len(counts) - 0.5)
        return Html(svg_text(figure, title))


def line_plot(title: str, series: Sequence[Series], marked_x: float | None = None) -> Html:
    """Return lines over x, at least one point in all; ``marked_x`` gets a dashed upright line.

    The axis of y covers all points, and starts at 0 unless a value is negative.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    x_low, x_high = min(xs), max(*xs, min(xs) + 1)
    with _new_svg(PANEL_WIDTH, PANEL_HEIGHT) as figure:
        axes = _panel(figure, nice_ticks(min(0.0, *ys), max(ys)))
        # There is no half epoch.
        axes.set_xticks([tick for tick in nice_ticks(x_low, x_high, whole=True) if x_low <= tick <= x_high])
        axes.set_xlim(x_low, x_high)
        if marked_x is not None:
            axes.axvline(marked_x, color=COLOURS["soft"], linewidth=1.5, linestyle=(0, (3, 3)), clip_on=False)
        for index, line in enumerate(series):
            axes.plot(
                *zip(*line.points, strict=True),
                color=COLOURS[f"s{index}"],
                linewidth=2,
                marker="o" if len(line.points) == 1 else None,
                clip_on=False,
            )
        return Html(svg_text(figure, title))


def nice_ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return about five round numbers, 1, 2 or 5 times a power of ten apart, that enclose ``low`` to ``high``."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / NUM_TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * NUM_TICKS >= span)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]


@contextmanager
def _new_svg(width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure of so many pixels, the colour of a card of the page."""
    with new_figure(width / SVG_PIXELS_PER_INCH, height / SVG_PIXELS_PER_INCH, layout=None) as figure:
        figure.patch.set_facecolor(COLOURS["card"])
        yield figure


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes at a place in pixels, from the upper left corner of the figure."""
    whole_width, whole_height = figure.get_size_inches() * SVG_PIXELS_PER_INCH
    place = (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    axes = figure.add_axes(place)
    axes.patch.set_visible(False)
    return axes


def _panel(figure: Figure, y_ticks: Sequence[float]) -> Axes:
    """Return axes with a grid across at the ticks of y and no frame."""
    axes = _axes(figure, LEFT, TOP, PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=FONT_PIXELS, pad=6)
    axes.set_yticks(y_ticks, [f"{tick:g}" for tick in y_ticks])
    axes.set_ylim(y_ticks[0], y_ticks[-1])
    axes.grid(visible=True, axis="y", color=COLOURS["rule"], linewidth=1, clip_on=False)
    axes.set_axisbelow(True)
    return axes


def _count(count: int) -> str:
    """Return a count as it fits a cell, below a million: five digits do not, so they are cut to thousands."""
    return f"{count}" if count < 10_000 else f"{count // 1000}k"  # noqa: PLR2004
