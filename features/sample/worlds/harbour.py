"""A harbour: open sea and a low coast in the west, a quay with sheds, cranes and a lighthouse in the east."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.sample.worlds.palette import WINDOW_LIGHT

if TYPE_CHECKING:
    import numpy as np

    from features.sample.worlds.painter import Painter
    from features.sample.worlds.palette import Palette

HORIZON = 0.56
QUAY = 0.74
CRANE_SHARE = 0.6
SHED_COLOURS = ((176, 92, 74), (196, 170, 120), (120, 140, 150), (150, 110, 90))


def paint_harbour(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    """Paint the sea, the coast behind it, and the quay."""
    length = painter.length
    _paint_coast(painter, palette, rng)
    painter.gradient(HORIZON, 1.0, palette.tint((86, 150, 186)), palette.tint((22, 74, 116)))
    for _ in range(90):
        x, y = rng.uniform(0, length), rng.uniform(HORIZON + 0.02, 0.99)
        width = 0.02 + 0.08 * (y - HORIZON)
        painter.line([(x, y), (x + width, y)], 0.006, palette.tint((170, 208, 224)))
    shore = rng.uniform(0.5, 0.6) * length
    stone = palette.tint((128, 122, 116))
    painter.polygon([(shore, 1.0), (shore + 0.1, QUAY), (length, QUAY), (length, 1.0)], stone)
    painter.line([(shore + 0.1, QUAY), (length, QUAY)], 0.012, palette.tint((180, 172, 160)))
    x = shore + 0.2
    while x < length - 0.3:
        _paint_shed(painter, palette, x, rng)
        x += rng.uniform(0.3, 0.5)
    if rng.random() < CRANE_SHARE:
        _paint_crane(painter, palette, rng.uniform(0.72, 0.82) * length, rng)
    _paint_lighthouse(painter, palette, rng.uniform(0.87, 0.94) * length)


def _paint_coast(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    hills = [(0.0, HORIZON)]
    x = 0.0
    while x < painter.length:
        hills.append((x, HORIZON - rng.uniform(0.01, 0.05) - 0.07 * x / painter.length))
        x += rng.uniform(0.15, 0.35)
    painter.polygon([*hills, (painter.length, HORIZON)], palette.tint((120, 146, 140)))


def _paint_shed(painter: Painter, palette: Palette, left: float, rng: np.random.Generator) -> None:
    width, height = rng.uniform(0.18, 0.3), rng.uniform(0.12, 0.24)
    wall = palette.tint(SHED_COLOURS[int(rng.integers(len(SHED_COLOURS)))])
    top = QUAY - height
    painter.box(left, top, left + width, QUAY, wall)
    roof = [(left - 0.02, top), (left + width / 2, top - 0.09), (left + width + 0.02, top)]
    painter.polygon(roof, palette.tint((84, 72, 74)))
    painter.box(left + 0.4 * width, QUAY - 0.09, left + 0.6 * width, QUAY, palette.tint((66, 54, 50)))
    light = WINDOW_LIGHT if rng.random() < palette.lit_share else palette.tint((70, 90, 110))
    painter.box(left + 0.1 * width, top + 0.03, left + 0.28 * width, top + 0.08, light)


def _paint_crane(painter: Painter, palette: Palette, x: float, rng: np.random.Generator) -> None:
    steel = palette.tint((214, 150, 50))
    top = rng.uniform(0.2, 0.3)
    painter.line([(x, QUAY), (x, top)], 0.022, steel)
    painter.line([(x - 0.3, top + 0.02), (x + 0.12, top + 0.02)], 0.018, steel)
    painter.line([(x - 0.27, top + 0.02), (x - 0.27, top + 0.2)], 0.006, palette.tint((60, 60, 60)))
    painter.box(x + 0.06, top + 0.02, x + 0.12, top + 0.08, palette.tint((90, 90, 96)))


def _paint_lighthouse(painter: Painter, palette: Palette, x: float) -> None:
    top, foot = 0.2, QUAY
    for ring in range(6):
        upper, lower = (top + (foot - top) * (ring + step) / 6 for step in (0, 1))
        inner, outer = 0.04 + 0.005 * ring, 0.045 + 0.005 * ring
        colour = palette.tint((236, 232, 224) if ring % 2 else (56, 92, 148))
        corners = [(x - inner, upper), (x + inner, upper), (x + outer, lower), (x - outer, lower)]
        painter.polygon(corners, colour)
    lamp = WINDOW_LIGHT if palette.is_night else palette.tint((200, 220, 225))
    painter.box(x - 0.03, top - 0.06, x + 0.03, top, lamp)
    roof = [(x - 0.045, top - 0.06), (x, top - 0.12), (x + 0.045, top - 0.06)]
    painter.polygon(roof, palette.tint((60, 60, 70)))
