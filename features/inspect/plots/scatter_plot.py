"""Scatter plots: vectors projected to a plane, one colour and mark a category."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.base.figures import COLOURS, new_figure, save_png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE"}
MIN_POINTS = 3  # fewer points have no structure
# Principal components given to t-SNE, as its authors advise: further ones cost time and are mostly noise.
TSNE_WIDTH = 50
# The usual value of t-SNE; a small set has less.
PERPLEXITY = 30.0
OTHERS = "(other categories)"
UNKNOWN = "(no category)"
LEGEND_ROWS = 24
MAX_NAME_CHARACTERS = 28
# Six marks and seven colours repeat together only after 42 pairs.
MARKS = ("o", "s", "^", "D", "v", "P")
NO_CATEGORY = "#9AA3AD"
MAX_STYLES = len(COLOURS) * len(MARKS)


@dataclass(frozen=True)
class Plane:
    """Points on a plane.

    Attributes:
        points: ``(N, 2)``.
        axes: Labels of the two axes.
    """

    points: npt.NDArray[np.float32]
    axes: tuple[str, str]


def project(vectors: npt.NDArray[np.float32], projection: str) -> Plane:
    """Return ``(N, D)`` vectors, N >= 3, projected by ``pca``, or by ``tsne`` with a fixed seed.

    The same vectors give the same points: the largest weight of a principal axis is positive.
    """
    if projection == "tsne":
        return _tsne(vectors)
    return _pca(vectors)


def _pca(vectors: npt.NDArray[np.float32]) -> Plane:
    from sklearn.decomposition import PCA  # noqa: PLC0415 - loads scipy

    count = min(2, vectors.shape[1])
    model = PCA(n_components=count, svd_solver="full")
    with np.errstate(invalid="ignore", divide="ignore"):
        # Identical vectors have a variance of 0.
        points = model.fit_transform(vectors)
    signs = np.sign(model.components_[np.arange(count), np.abs(model.components_).argmax(axis=1)])
    shares = np.nan_to_num(model.explained_variance_ratio_)
    flat = np.zeros((len(vectors), 2), np.float32)
    flat[:, :count] = points * np.where(signs == 0, 1, signs)
    names = [f"principal axis {i + 1} ({100 * share:.0f} % of the variance)" for i, share in enumerate(shares)]
    return Plane(flat, (names[0], names[1] if count > 1 else ""))


def _tsne(vectors: npt.NDArray[np.float32]) -> Plane:
    from sklearn.decomposition import PCA  # noqa: PLC0415 - loads scipy
    from sklearn.manifold import TSNE  # noqa: PLC0415 - loads scipy

    if min(vectors.shape) > TSNE_WIDTH:
        vectors = PCA(n_components=TSNE_WIDTH, svd_solver="full").fit_transform(vectors)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="random", random_state=0)
    points = np.asarray(model.fit_transform(vectors), np.float32)
    return Plane(points, ("t-SNE, first axis (no unit)", "t-SNE, second axis (no unit)"))


@dataclass(frozen=True)
class Panel:
    """One colouring of the points.

    Attributes:
        title: Meaning of the colours.
        names: Category of each point, ``None`` where it has none.
    """

    title: str
    names: Sequence[str | None]


def draw_scatter(plane: Plane, panels: Sequence[Panel], title: str, chosen: int | None, path: Path) -> None:
    """Write the points once a panel; a category has the same style in all panels, the point ``chosen`` a ring.

    Beyond 42 categories the rarer ones share a grey.
    """
    counts = Counter(name for panel in panels for name in panel.names if name is not None)
    frequent = sorted(name for name, _ in counts.most_common(MAX_STYLES))
    styles = {name: category_style(number) for number, name in enumerate(frequent)}
    with new_figure(1.5 + 6.3 * len(panels) + (2.2 if styles else 0), 6.2) as figure:
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            _draw(axes, plane, panel, styles)
            if chosen is not None:
                x, y = plane.points[chosen]
                axes.scatter([x], [y], s=190, facecolors="none", edgecolors="black", linewidths=1.6, zorder=3)
        if styles:
            _add_legend(figure, [*styles, OTHERS, UNKNOWN])
        save_png(figure, path, title)


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


def category_style(number: int) -> tuple[str, str]:
    """Return colour and mark of the category with a number from 0; they repeat after 42."""
    return COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
