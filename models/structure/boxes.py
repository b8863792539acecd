"""Boxes and arrows as SVG that carries its own colours, in light and in dark.

Inside the report the page's colours count; standing alone the picture has the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.rendering.markup import Html, element
from models.rendering.terminal_table import shorten

LINE = 15
"""Pixels from one line of text to the next."""

_PIXELS_PER_COLUMN = 6.3
"""Of an 11-pixel character, the wider ones."""

_HEAD = 6
"""Length of an arrow's head."""

STYLE = """
.network { font: 11px system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", sans-serif;
  --n-page: var(--card, #ffffff); --n-ink: var(--ink, #1d2530); --n-soft: var(--soft, #5d6979);
  --n-accent: var(--accent, #2563a8); fill: var(--n-ink); }
@media (prefers-color-scheme: dark) {
  .network { --n-page: var(--card, #1c222b); --n-ink: var(--ink, #e4e9f0); --n-soft: var(--soft, #98a4b5);
    --n-accent: var(--accent, #5b9be0); }
}
.network .page { fill: var(--n-page); }
.network .box { fill: var(--n-page); stroke: var(--n-soft); }
.network .tint { fill: none; }
.network .trained .tint { fill: var(--n-accent); fill-opacity: 0.13; }
.network .trained .box { stroke: var(--n-accent); }
.network .dashed .box, .network .arrow.dashed { stroke-dasharray: 4 3; }
.network .group { fill: var(--n-page); stroke: var(--n-soft); stroke-opacity: 0.7; }
.network .arrow { fill: none; stroke: var(--n-soft); stroke-width: 1.3; }
.network .head { fill: var(--n-soft); }
.network .title { font-weight: 600; }
.network .detail { fill: var(--n-soft); }
"""


@dataclass(frozen=True)
class Box:
    """A rectangle with a title and lines under it.

    Attributes:
        title: Its first line, bold.
        lines: The others.
        x: Left edge, in pixels as all that follows.
        y: Upper edge.
        width: Of the rectangle.
        height: Of the rectangle.
        is_trained: Whether it holds parameters; such boxes are tinted.
        is_dashed: Whether it is for training alone.
    """

    title: str
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    is_trained: bool = False
    is_dashed: bool = False

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return self.y + self.height / 2

    @property
    def centre(self) -> float:
        """Middle from left to right."""
        return self.x + self.width / 2


def draw_box(box: Box) -> Html:
    """The box with its text in the middle; what is too long for it is cut, and whole in the tooltip."""
    kinds = [kind for kind, holds in (("trained", box.is_trained), ("dashed", box.is_dashed)) if holds]
    most_columns = int((box.width - 8) / _PIXELS_PER_COLUMN)
    first = box.middle - len(box.lines) * LINE / 2
    texts = [
        text(shorten(line, most_columns), box.centre, first + index * LINE, class_="detail" if index else "title")
        for index, line in enumerate((box.title, *box.lines))
    ]
    place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": 6}
    return element(
        "g",
        element("title", ", ".join((box.title, *box.lines))),
        element("rect", class_="box", **place),
        element("rect", class_="tint", **place),
        *texts,
        class_=" ".join(kinds) or None,
    )


def draw_group(title: str, x: float, y: float, width: float, height: float) -> Html:
    """A frame around boxes, with its title in its upper left corner."""
    return element(
        "g",
        element("rect", class_="group", x=x, y=y, width=width, height=height, rx=10),
        text(title, x + 10, y + 12, class_="detail", anchor="start"),
    )


def draw_arrow(points: Sequence[tuple[float, float]], *, dashed: bool = False) -> Html:
    """A line through at least two points, each above, below or beside the one before; its head is at the last."""
    (from_x, from_y), (x, y) = points[-2:]
    # Unit vector of the last stretch.
    across, down = _sign(x - from_x), _sign(y - from_y)
    back_x, back_y = x - across * _HEAD, y - down * _HEAD
    half = _HEAD / 2
    corners = [(x, y), (back_x + down * half, back_y + across * half), (back_x - down * half, back_y - across * half)]
    line = [*points[:-1], (back_x, back_y)]
    return element(
        "g",
        element("polyline", class_="arrow dashed" if dashed else "arrow", points=_written(line)),
        element("polygon", class_="head", points=_written(corners)),
    )


def text(content: str, x: float, y: float, *, class_: str, anchor: str = "middle") -> Html:
    """One line whose middle is at the height `y`."""
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor, dominant_baseline="central")


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)


def _written(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
