"""The network as a picture: a column of boxes a step, from the modalities on the left to the scores on the right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from features.base.figures import SVG_PIXELS_PER_INCH, THEME, new_figure, set_tooltip, svg_text
from features.base.text import shorten_line
from models.structure.formatting import count_text
from models.structure.structure import FIRST_EXPERT, TRAINED_TABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from models.structure.structure import ModalityPath, Structure

TITLE = "The network from its modalities to its scores"
# Pixels.
WIDTH, HEIGHT = 146, 78  # of a box
GAP = 24  # between columns
ROW = HEIGHT + 20  # from one box of a column to the next
MARGIN, LEGEND_HEIGHT, LINE_HEIGHT = 14, 34, 14
FONT_PIXELS, COLUMN_PIXELS = 11, 6.3  # of a letter, the wider ones


@dataclass(frozen=True)
class Box:
    """A box of the drawing: its title, lines, and centre in pixels (y down)."""

    title: str
    lines: tuple[str, ...]
    is_trained: bool = True
    x: float = 0.0
    y: float = 0.0


def draw_network(structure: Structure, *, standalone: bool = False) -> str:
    """Return the picture as SVG; ``standalone`` = as a file of its own, else for a page."""
    columns = _place(_columns(structure))
    height = max(box.y for column in columns for box in column) + ROW / 2 + LEGEND_HEIGHT
    width = columns[-1][0].x + WIDTH / 2 + MARGIN
    with new_figure(width / SVG_PIXELS_PER_INCH, height / SVG_PIXELS_PER_INCH, layout=None) as figure:
        figure.patch.set_facecolor(THEME["card"][0])
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for before, after in pairwise(columns):
            for source, target in _edges(before, after):
                _draw_arrow(axes, (source.x + WIDTH / 2, source.y), (target.x - WIDTH / 2, target.y))
        for column in columns:
            for box in column:
                _draw_box(axes, box)
        if structure.heads != "independent":
            # The tag head reads what the category head computes.
            for category, tags in (
                column for column in columns[-2:] if [box.title for box in column] == ["category", "tags"]
            ):
                _draw_arrow(axes, (category.x, category.y + HEIGHT / 2), (tags.x, tags.y - HEIGHT / 2))
        axes.text(MARGIN, height - MARGIN, _legend(structure), color=THEME["soft"][0], fontsize=FONT_PIXELS)
        return svg_text(figure, TITLE, standalone=standalone)


def _legend(structure: Structure) -> str:
    own = " Own heads: parameters for training only." if structure.has_modality_heads else ""
    experts = f" From encoders to heads: one of {structure.num_experts} experts." if structure.num_experts > 1 else ""
    return f"Tinted: has trained parameters. 768 → 256: from one width to another.{own}{experts}"


def _columns(structure: Structure) -> list[list[Box]]:
    """Return the boxes, column by column from left to right."""
    given = sum(modality.output_width for modality in structure.modalities)
    fusion_is_trained = structure.by_path()[f"{FIRST_EXPERT}.fusion"].num_parameters > 0
    columns = [
        [_modality(structure, modality) for modality in structure.modalities],
        [_encoder(structure, modality) for modality in structure.modalities],
        [_step(structure, structure.fusion, "fusion", given, structure.fusion_width, is_trained=fusion_is_trained)],
    ]
    width = structure.fusion_width
    if structure.hidden_width:
        columns.append([_step(structure, "hidden layer", "hidden", width, structure.hidden_width)])
        width = structure.hidden_width
    columns.append([_step(structure, "embedding", "embed", width, structure.embedding_width)])
    outputs = []
    if structure.num_categories:
        outputs.append(Box("category", (f"{structure.num_categories} classes",), is_trained=False))
    if structure.num_tags:
        outputs.append(Box("tags", (f"{structure.num_tags} tags", structure.tag_head), is_trained=False))
    if outputs:
        columns.append([Box("heads", (structure.heads, *_cost(structure, f"{FIRST_EXPERT}.heads")))])
        columns.append(outputs)
    if structure.num_experts > 1:
        prepared = sum(modality.prepared_width for modality in structure.modalities)
        gate = ("gate: mean steps", f"{prepared} → {structure.num_experts}", *_cost(structure, "gate"))
        columns.append([Box(f"mixture of {structure.num_experts} experts", gate)])
    return columns


def _modality(structure: Structure, modality: ModalityPath) -> Box:
    steps = "1" if modality.num_steps == 1 else "T"
    given, made = modality.input_width, modality.prepared_width
    widths = f"{steps} × {given}" if given == made else f"{steps} × {given} → {made}"
    is_trained = TRAINED_TABLE in modality.preparations
    preparations = [f"+ {name}" if number else name for number, name in enumerate(modality.preparations)]
    cost = _cost(structure, "prepare.table") if is_trained else ()
    return Box(modality.name, (widths, *preparations, *cost), is_trained)


def _encoder(structure: Structure, modality: ModalityPath) -> Box:
    lines = (
        f"{modality.prepared_width} → {modality.output_width}",
        *_cost(structure, f"{FIRST_EXPERT}.encoders.{modality.name}"),
    )
    if structure.has_modality_heads:
        own = structure.by_path()[f"{FIRST_EXPERT}.modality_heads.{modality.name}"].num_parameters
        lines = (*lines, f"own heads: {count_text(own)}")
    return Box(modality.aggregator, lines)


def _step(structure: Structure, title: str, path: str, given: int, made: int, *, is_trained: bool = True) -> Box:
    kind = ("fusion",) if path == "fusion" else ()
    return Box(title, (*kind, f"{given} → {made}", *_cost(structure, f"{FIRST_EXPERT}.{path}")), is_trained)


def _cost(structure: Structure, path: str) -> tuple[str, ...]:
    row = structure.by_path()[path]
    return (f"{count_text(row.num_parameters)} parameters",) if row.num_parameters else ()


def _place(columns: list[list[Box]]) -> list[list[Box]]:
    """Return the boxes with their places, each column centred."""
    middle = MARGIN + max(map(len, columns)) * ROW / 2
    return [
        [
            replace(box, x=MARGIN + WIDTH / 2 + number * (WIDTH + GAP), y=middle + (row - (len(column) - 1) / 2) * ROW)
            for row, box in enumerate(column)
        ]
        for number, column in enumerate(columns)
    ]


def _edges(before: list[Box], after: list[Box]) -> list[tuple[Box, Box]]:
    """Return which boxes of two columns are connected: each modality with its encoder, else each with each."""
    if len(before) == len(after):
        return list(zip(before, after, strict=True))
    return [(source, target) for source in before for target in after]


def _draw_box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - takes half a second

    left, top = box.x - WIDTH / 2, box.y - HEIGHT / 2
    tooltip = ", ".join((box.title, *box.lines))
    edge, card = THEME["accent" if box.is_trained else "soft"][0], THEME["card"][0]
    axes.add_patch(Rectangle((left, top), WIDTH, HEIGHT, facecolor=card, edgecolor=edge, clip_on=False))
    alpha = 0.13 if box.is_trained else 0
    tint = Rectangle((left, top), WIDTH, HEIGHT, facecolor=edge, alpha=alpha, linewidth=0, clip_on=False)
    set_tooltip(axes.add_patch(tint), tooltip)
    first = box.y - len(box.lines) * LINE_HEIGHT / 2
    for number, line in enumerate((box.title, *box.lines)):
        axes.text(
            box.x,
            first + number * LINE_HEIGHT,
            shorten_line(line, int((WIDTH - 8) / COLUMN_PIXELS)),
            color=THEME["soft" if number else "ink"][0],
            fontweight="normal" if number else "bold",
            fontsize=FONT_PIXELS,
            ha="center",
            va="center_baseline",
        )


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": THEME["soft"][0], "linewidth": 1.2, "shrinkA": 0, "shrinkB": 1}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
