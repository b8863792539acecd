"""Plots of the steps of one clip: their features, and the cosines between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.base.figures import new_figure, save_png
from features.inspect.similarity import unit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.axis import Axis

    Float32 = npt.NDArray[np.float32]

MAX_TICKS = 40
# Percentage of values at either end that the colour scale ignores.
OUTLIERS_PERCENT = 1.0


@dataclass(frozen=True)
class Steps:
    """Labels of the steps of a clip.

    Attributes:
        axis: Label of the axis, with its unit.
        labels: One a step.
    """

    axis: str
    labels: Sequence[str]


def draw_heat_map(features: Float32, steps: Steps, heading: tuple[str, str], path: Path) -> None:
    """Write ``(T, D)`` features, T and D >= 1, as a PNG: one row a step, one column a dimension.

    Features of both signs get two colours that meet at 0, others one scale of lightness; 1 % of the values at
    either end is cut off.
    """
    low, high = np.percentile(features, (OUTLIERS_PERCENT, 100 - OUTLIERS_PERCENT)).tolist()
    colours = "cividis"
    if low < 0 < high:
        high = max(-low, high)
        low, colours = -high, "RdBu_r"
    if low == high:
        low, high = low - 1, high + 1
    with new_figure(11, min(10.0, 2.0 + 0.22 * len(features))) as figure:
        axes = figure.subplots()
        picture = axes.imshow(features, aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        axes.set(xlabel="dimension", ylabel=steps.axis)
        _label(axes.yaxis, steps.labels)
        bar = figure.colorbar(picture, ax=axes, label="value", extend="both")
        bar.ax.tick_params(labelsize=8)
        save_png(figure, path, *heading)


def draw_similarity(features: Float32, steps: Steps, heading: tuple[str, str], path: Path) -> None:
    """Write the cosine between every two of T >= 2 steps as a PNG."""
    units = unit_rows(features)
    cosines = units @ units.T
    side = min(10.0, 3.6 + 0.2 * len(features))
    with new_figure(side + 1.2, side) as figure:
        axes = figure.subplots()
        # By rounding, the cosine of a step with itself may be just below 1.
        picture = axes.imshow(cosines, cmap="cividis", vmin=min(float(cosines.min()), 0.999), vmax=1.0)
        axes.set(xlabel=steps.axis, ylabel=steps.axis)
        _label(axes.yaxis, steps.labels)
        _label(axes.xaxis, steps.labels)
        axes.tick_params(axis="x", rotation=90)
        bar = figure.colorbar(picture, ax=axes, label="cosine between steps")
        bar.ax.tick_params(labelsize=8)
        save_png(figure, path, *heading)


def _label(axis: Axis, labels: Sequence[str]) -> None:
    shown = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), MAX_TICKS)).round().astype(int))
    axis.set_ticks(shown.tolist(), [labels[number] for number in shown], fontsize=8)
