"""The clips of a shard as points, one colour and mark a category."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.plots.colours import MAX_STYLES, NO_CATEGORY, style
from features.plots.figures import new_figure, set_heading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from features.analysis.projection import Plane

OTHERS = "(other categories)"
UNKNOWN = "(no category)"
LEGEND_ROWS = 24
MAX_NAME_CHARACTERS = 28


@dataclass(frozen=True)
class Panel:
    """One way to colour the points.

    Attributes:
        title: What the colours are.
        names: Category of each point, ``None`` where it has none.
    """

    title: str
    names: Sequence[str | None]


def draw_scatter(plane: Plane, panels: Sequence[Panel], title: str, chosen: int | None, path: Path) -> None:
    """Write the points once for each panel; the same category looks the same in all, ``chosen`` has a ring.

    Beyond 42 categories the rarer ones share a grey.

    Raises:
        ToolError: matplotlib is not installed.
    """
    counts = Counter(name for panel in panels for name in panel.names if name is not None)
    frequent = sorted(name for name, _ in counts.most_common(MAX_STYLES))
    styles = {name: style(number) for number, name in enumerate(frequent)}
    with new_figure(path, 1.5 + 6.3 * len(panels) + (2.2 if styles else 0), 6.2) as figure:
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            _draw(axes, plane, panel, styles)
            if chosen is not None:
                x, y = plane.points[chosen]
                axes.scatter([x], [y], s=190, facecolors="none", edgecolors="black", linewidths=1.6, zorder=3)
        if styles:
            _add_legend(figure, [*styles, OTHERS, UNKNOWN])
        set_heading(figure, title)


def _draw(axes: Axes, plane: Plane, panel: Panel, styles: Mapping[str, tuple[str, str]]) -> None:
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(panel.names):
        known = UNKNOWN if name is None else name if name in styles else OTHERS
        groups.setdefault(known, []).append(row)
    for name, rows in groups.items():
        colour, mark = styles.get(name, (NO_CATEGORY, "o"))
        points = plane.points[rows]
        axes.scatter(points[:, 0], points[:, 1], s=32, c=colour, marker=mark, alpha=0.8, linewidths=0, label=name)
    axes.set(xlabel=plane.axes[0], ylabel=plane.axes[1], title=panel.title)
    axes.grid(visible=True, alpha=0.25)


def _add_legend(figure: Figure, names: Sequence[str]) -> None:
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles[str(label)] = handle
    present = [name for name in names if name in handles]
    figure.legend(
        [handles[name] for name in present],
        [name[:MAX_NAME_CHARACTERS] for name in present],
        loc="outside right upper",
        ncols=-(-len(present) // LEGEND_ROWS),
        fontsize=8,
        frameon=False,
    )
