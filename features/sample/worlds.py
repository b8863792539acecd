"""Panoramas that the camera moves along: open and low in the west, dense and tall in the east.

Every scene keeps that order, and the sun or the moon is in the west. Only so can a network that sees
single pictures find where in a panorama each of them is; the direction of a pan is then in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features.sample.painter import WINDOW_LIGHT, Painter, Palette, UInt8, draw_palette

if TYPE_CHECKING:
    from features.sample.painter import Colour, Palette

PAVEMENT = 0.8
ROAD = 0.84
# Lower buildings have a pitched roof.
ROOF_BELOW = 0.3
WALLS = ((150, 104, 88), (186, 172, 150), (118, 126, 140), (98, 116, 132), (170, 140, 116), (140, 148, 150))
# The forest.
MEADOW = 0.6
NUM_TREES = 46
CABIN_FRACTION = 0.4
# The harbour.
HORIZON = 0.56
QUAY = 0.74
CRANE_FRACTION = 0.6
SHED_COLOURS = ((176, 92, 74), (196, 170, 120), (120, 140, 150), (150, 110, 90))
# Standard deviation of the grain, in levels of brightness.
GRAIN_LEVELS = 3.0


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
        _paint_street_tree(painter, palette, painter.length * rng.random() ** 2, rng)
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
            is_lit = rng.random() < palette.lit_fraction
            light = WINDOW_LIGHT if is_lit else palette.tint((74, 96, 124))
            x = left + width * (column + 0.25) / across
            y = top + height * (row + 0.25) / (down + 0.3)
            painter.box(x, y, x + 0.5 * width / across, y + 0.5 * height / (down + 0.3), light)


def _paint_street_tree(painter: Painter, palette: Palette, x: float, rng: np.random.Generator) -> None:
    painter.box(x - 0.008, PAVEMENT - 0.1, x + 0.008, PAVEMENT, palette.tint((92, 68, 50)))
    leaves = palette.tint((72, 128, 66), rng.uniform(0.8, 1.2))
    for _ in range(4):
        painter.oval(x + rng.uniform(-0.03, 0.03), PAVEMENT - rng.uniform(0.1, 0.16), 0.045, 0.045, leaves)


def paint_forest(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    """Paint hills, the lake, perhaps a cabin, and the trees from the far ones to the near ones."""
    for base, colour in ((0.44, (128, 156, 168)), (0.52, (98, 138, 122))):
        _paint_hills(painter, palette.tint(colour), base, rng)
    painter.gradient(MEADOW, 1.0, palette.tint((132, 168, 92)), palette.tint((74, 112, 56)))
    lake = rng.uniform(0.15, 0.3) * painter.length
    painter.oval(lake, 0.7, rng.uniform(0.25, 0.45), 0.045, palette.tint((108, 158, 190)))
    if rng.random() < CABIN_FRACTION:
        _paint_cabin(painter, palette, rng.uniform(0.3, 0.5) * painter.length)
    for _ in range(70):
        x, y = rng.uniform(0, painter.length), rng.uniform(0.72, 1.0)
        painter.line([(x, y), (x + 0.008, y - 0.025)], 0.005, palette.tint((96, 140, 66)))
    # The square root: ever more of them in the east.
    places = painter.length * np.sqrt(rng.random(NUM_TREES))
    for x, foot in zip(places, np.sort(rng.uniform(0.62, 0.92, NUM_TREES)), strict=True):
        _paint_tree(painter, palette, (float(x), float(foot)), rng)


def _paint_hills(painter: Painter, colour: Colour, base: float, rng: np.random.Generator) -> None:
    x = np.arange(0.0, painter.length + 0.05, 0.05)
    y = np.full_like(x, base)
    for _ in range(4):
        y += rng.uniform(0.01, 0.04) * np.sin(rng.uniform(1, 5) * x + rng.uniform(0, 6))
    ridge = list(zip(x.tolist(), y.tolist(), strict=True))
    painter.polygon([(0.0, 1.0), *ridge, (painter.length + 0.05, 1.0)], colour)


def _paint_cabin(painter: Painter, palette: Palette, x: float) -> None:
    painter.box(x, 0.58, x + 0.2, 0.7, palette.tint((134, 94, 62)))
    painter.polygon([(x - 0.03, 0.58), (x + 0.1, 0.48), (x + 0.23, 0.58)], palette.tint((88, 58, 48)))
    painter.box(x + 0.08, 0.62, x + 0.13, 0.7, palette.tint((60, 42, 34)))


def _paint_tree(painter: Painter, palette: Palette, place: tuple[float, float], rng: np.random.Generator) -> None:
    x, foot = place
    height = rng.uniform(0.3, 0.42) * (0.45 + foot) * (0.6 + 0.6 * x / painter.length)
    needles = palette.tint((40, 96, 62), rng.uniform(0.75, 1.25))
    painter.box(x - 0.012, foot - 0.2 * height, x + 0.012, foot, palette.tint((82, 58, 42)))
    for tier in range(3):
        top = foot - height * (1.0 - 0.24 * tier)
        spread = height * (0.15 + 0.06 * tier)
        low = top + 0.42 * height
        painter.polygon([(x, top), (x + spread, low), (x - spread, low)], needles)


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
    if rng.random() < CRANE_FRACTION:
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
    light = WINDOW_LIGHT if rng.random() < palette.lit_fraction else palette.tint((70, 90, 110))
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


SCENERY = {"harbour": paint_harbour, "city": paint_city, "forest": paint_forest}


def paint_world(scene: str, is_night: bool, size: tuple[int, int], rng: np.random.Generator) -> UInt8:
    """Return a panorama, ``(rows, columns, 3)``.

    Args:
        scene: A key of `SCENERY`.
        is_night: Chooses among the lights.
        size: Columns and rows in pixels.
        rng: Draws everything that differs from clip to clip.
    """
    columns, rows = size
    palette = draw_palette(is_night, rng)
    painter = Painter(columns / rows, rows, background=palette.sky_low)
    _paint_sky(painter, palette, rng)
    SCENERY[scene](painter, palette, rng)
    return _add_grain(painter.pixels(), rng)


def _paint_sky(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    painter.gradient(0.0, 0.62, palette.sky_top, palette.sky_low)
    if palette.is_night:
        for _ in range(60):
            x, y = rng.uniform(0, painter.length), rng.uniform(0, 0.5)
            painter.oval(x, y, 0.004, 0.004, (220, 220, 235))
    x, y = rng.uniform(0.12, 0.3) * painter.length, rng.uniform(0.12, 0.26)
    painter.oval(x, y, 0.07, 0.07, palette.orb)
    for _ in range(int(rng.integers(1, 6))):
        _paint_cloud(painter, palette, rng)


def _paint_cloud(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    x, y = rng.uniform(0, painter.length), rng.uniform(0.05, 0.35)
    colour = palette.tint((246, 246, 250))
    for _ in range(5):
        painter.oval(x + rng.uniform(-0.12, 0.12), y + rng.uniform(-0.02, 0.02), 0.08, 0.03, colour)


def _add_grain(picture: UInt8, rng: np.random.Generator) -> UInt8:
    """Return the picture with fine grain, which stays in place while the camera moves."""
    grain = rng.normal(0, GRAIN_LEVELS, (*picture.shape[:2], 1)).round().astype(np.int16)
    return np.asarray((picture + grain).clip(0, 255), dtype=np.uint8)
