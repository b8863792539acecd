"""A forest: a meadow with a lake in the west, tall trees ever closer together in the east."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from features.sample.worlds.painter import Painter
    from features.sample.worlds.palette import Colour, Palette

MEADOW = 0.6
NUM_TREES = 46
CABIN_SHARE = 0.4


def paint_forest(painter: Painter, palette: Palette, rng: np.random.Generator) -> None:
    """Paint hills, the lake, perhaps a cabin, and the trees from the far ones to the near ones."""
    for base, colour in ((0.44, (128, 156, 168)), (0.52, (98, 138, 122))):
        _paint_hills(painter, palette.tint(colour), base, rng)
    painter.gradient(MEADOW, 1.0, palette.tint((132, 168, 92)), palette.tint((74, 112, 56)))
    lake = rng.uniform(0.15, 0.3) * painter.length
    painter.oval(lake, 0.7, rng.uniform(0.25, 0.45), 0.045, palette.tint((108, 158, 190)))
    if rng.random() < CABIN_SHARE:
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
