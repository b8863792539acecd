"""A city street: low houses and a park in the west, high towers in the east."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.sample.worlds.palette import WINDOW_LIGHT

if TYPE_CHECKING:
    import numpy as np

    from features.sample.worlds.painter import Painter
    from features.sample.worlds.palette import Palette

PAVEMENT = 0.8
ROAD = 0.84
# Lower buildings have a pitched roof.
ROOF_BELOW = 0.3
WALLS = ((150, 104, 88), (186, 172, 150), (118, 126, 140), (98, 116, 132), (170, 140, 116), (140, 148, 150))


def paint_city(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    """Paint two rows of buildings, the trees before them, and the road."""
    _paint_skyline(painter, palette, rng)
    painter.box(0.0, 0.7, painter.length, PAVEMENT, palette.tint((112, 136, 92)))
    x = rng.uniform(-0.1, 0.1)
    while x < painter.length:
        width = rng.uniform(0.16, 0.3)
        height = (0.12 + 0.5 * x / painter.length) * rng.uniform(0.8, 1.15)
        # Gaps in the west: gardens between low houses.
        if rng.random() < 0.55 + 0.45 * x / painter.length:
            _paint_building(painter, palette, (x, width, height), rng)
        x += width + rng.uniform(0.0, 0.04)
    for _ in range(int(rng.integers(4, 9))):
        # Squared: more of them in the west.
        _paint_tree(painter, palette, painter.length * rng.random() ** 2, rng)
    painter.box(0.0, PAVEMENT, painter.length, ROAD, palette.tint((176, 172, 166)))
    painter.box(0.0, ROAD, painter.length, 1.0, palette.tint((74, 76, 82)))
    x = 0.0
    while x < painter.length:
        painter.box(x, 0.915, x + 0.1, 0.928, palette.tint((226, 226, 214)))
        x += 0.2


def _paint_skyline(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    x = 0.0
    while x < painter.length:
        width = rng.uniform(0.1, 0.2)
        top = 0.68 - (0.06 + 0.45 * x / painter.length) * rng.uniform(0.6, 1.2)
        painter.box(x, top, x + width, PAVEMENT, palette.tint((150, 164, 182), rng.uniform(0.9, 1.05)))
        x += width


def _paint_building(
    painter: Painter, palette: Palette, place: tuple[float, float, float], rng: np.random.Generator
) -> None:
    left, width, height = place
    top = PAVEMENT - height
    wall = WALLS[int(rng.integers(len(WALLS)))]
    painter.box(left, top, left + width, PAVEMENT, palette.tint(wall, rng.uniform(0.85, 1.1)))
    if height < ROOF_BELOW:
        roof = [(left - 0.02, top), (left + width / 2, top - 0.08), (left + width + 0.02, top)]
        painter.polygon(roof, palette.tint((120, 66, 56)))
    across = max(2, round(width / 0.065))
    down = max(1, round(height / 0.085))
    for column in range(across):
        for row in range(down):
            is_lit = rng.random() < palette.lit_share
            light = WINDOW_LIGHT if is_lit else palette.tint((74, 96, 124))
            x = left + width * (column + 0.25) / across
            y = top + height * (row + 0.25) / (down + 0.3)
            painter.box(x, y, x + 0.5 * width / across, y + 0.5 * height / (down + 0.3), light)


def _paint_tree(painter: Painter, palette: Palette, x: float, rng: np.random.Generator) -> None:
    painter.box(x - 0.008, PAVEMENT - 0.1, x + 0.008, PAVEMENT, palette.tint((92, 68, 50)))
    leaves = palette.tint((72, 128, 66), rng.uniform(0.8, 1.2))
    for _ in range(4):
        painter.oval(x + rng.uniform(-0.03, 0.03), PAVEMENT - rng.uniform(0.1, 0.16), 0.045, 0.045, leaves)
