"""The assembled network as a picture, from its inputs on the left to its answers on the right."""

from itertools import pairwise

from models.rendering.markup import Html, element, join
from models.structure.boxes import LINE, STYLE, Box, draw_arrow, draw_box, draw_group, text
from models.structure.layout import FRAME, GAP, MARGIN, Layout, lay_out
from models.structure.modules import Structure

_LEGEND = "Tinted: has trained parameters. Dashed: for training alone. 768 → 256: from one width to another."
_LEGEND_HEIGHT = 40
_BEHIND = 5
"""Pixels by which the next expert looks out behind the one before."""


def draw(structure: Structure) -> Html:
    """The picture, with its own style: it stands alone as well as in the report."""
    layout = lay_out(structure)
    parts = [
        *_experts(structure, layout),
        *_modalities(layout),
        *_trunk(layout),
        *_heads(structure, layout),
        *_mixture(layout),
    ]
    width, height = layout.width, layout.height + _LEGEND_HEIGHT
    return element(
        "svg",
        element("style", Html(STYLE)),
        element("rect", class_="page", width=width, height=height),
        join(parts),
        text(_LEGEND, MARGIN, height - MARGIN, class_="detail", anchor="start"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width,
        height=height,
        class_="network",
        role="img",
        aria_label="The network from its inputs to its answers",
    )


def _experts(structure: Structure, layout: Layout) -> list[Html]:
    """The frames of a mixture's experts, the first in front."""
    if layout.mixture is None:
        return []
    x, right = layout.encoders[0].x - FRAME, layout.heads.right + FRAME
    high = min(layout.encoders[0].y, layout.heads.y) - FRAME - LINE
    low = max((layout.own_heads or layout.encoders)[-1].bottom, layout.heads.bottom) + FRAME
    title = f"one of {structure.num_experts} experts of this shape"
    behind = [
        draw_group("", x + shift, high + shift, right - x, low - high)
        for shift in range(_BEHIND * min(2, structure.num_experts - 1), 0, -_BEHIND)
    ]
    return [*behind, draw_group(title, x, high, right - x, low - high)]


def _modalities(layout: Layout) -> list[Html]:
    """Inputs, preparations and encoders, and the arrows between them."""
    parts = []
    for source, preparation, encoder in zip(layout.inputs, layout.preparations, layout.encoders, strict=True):
        parts += [draw_box(source), draw_box(preparation), draw_box(encoder)]
        parts += [_beside(source, preparation), _beside(preparation, encoder)]
        parts.append(draw_arrow(((encoder.right, encoder.middle), (layout.fusion.x, encoder.middle))))
    for encoder, own in zip(layout.encoders, layout.own_heads, strict=False):
        parts += [draw_box(own), draw_arrow(((encoder.centre, encoder.bottom), (own.centre, own.y)), dashed=True)]
    return parts


def _trunk(layout: Layout) -> list[Html]:
    """From the fusion to the embedding."""
    chain = [box for box in (layout.fusion, layout.hidden, layout.embedding) if box is not None]
    arrows = [_beside(before, after) for before, after in pairwise(chain)]
    return [*map(draw_box, chain), *arrows]


def _heads(structure: Structure, layout: Layout) -> list[Html]:
    """The heads in their frame; in all but the independent ones the tags also read what is made for the category."""
    frame = layout.heads
    parts = [draw_group(frame.title, frame.x, frame.y, frame.width, frame.height)]
    parts += [
        text(line, frame.x + 10, frame.y + 12 + (index + 1) * LINE, class_="detail", anchor="start")
        for index, line in enumerate(frame.lines)
    ]
    for head in (layout.category, layout.tags):
        if head is not None:
            parts += [draw_box(head), _to_head(layout.embedding, head)]
    if structure.heads != "independent" and layout.category is not None and layout.tags is not None:
        category, tags = layout.category, layout.tags
        parts.append(draw_arrow(((category.centre, category.bottom), (tags.centre, tags.y))))
    return parts


def _mixture(layout: Layout) -> list[Html]:
    """The gate, which reads every modality's prepared steps, and what mixes the experts by it."""
    if layout.gate is None or layout.mixture is None:
        return []
    gate, mixture, first = layout.gate, layout.mixture, layout.preparations[0]
    branch = first.right + GAP / 2
    dots = [element("circle", class_="head", cx=branch, cy=box.middle, r=2.5) for box in layout.preparations]
    to_gate = draw_arrow(((branch, first.middle), (branch, gate.middle), (gate.x, gate.middle)))
    to_mixture = draw_arrow(
        ((gate.right, gate.middle), (mixture.centre, gate.middle), (mixture.centre, mixture.bottom))
    )
    out = draw_arrow(((layout.heads.right + FRAME, mixture.middle), (mixture.x, mixture.middle)))
    return [*dots, to_gate, to_mixture, out, draw_box(gate), draw_box(mixture)]


def _beside(before: Box, after: Box) -> Html:
    """An arrow between two boxes whose middles are at one height."""
    return draw_arrow(((before.right, before.middle), (after.x, before.middle)))


def _to_head(embedding: Box, head: Box) -> Html:
    """An arrow that turns half way between the embedding and the frame of the heads."""
    turn = embedding.right + GAP / 2
    return draw_arrow(
        ((embedding.right, embedding.middle), (turn, embedding.middle), (turn, head.middle), (head.x, head.middle))
    )
