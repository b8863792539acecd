"""Panoramas that the camera moves along: open and low in the west, dense and tall in the east.

Every scene keeps that order, and the sun or the moon stands in the west. Only so can a network that sees
single pictures tell where in a panorama each of them lies; the direction of a pan is then in their order.
"""

from __future__ import annotations

import numpy as np

from features.sample.worlds.city import paint_city
from features.sample.worlds.forest import paint_forest
from features.sample.worlds.harbour import paint_harbour
from features.sample.worlds.painter import Painter, UInt8
from features.sample.worlds.palette import Palette, draw_palette

SCENERY = {"harbour": paint_harbour, "city": paint_city, "forest": paint_forest}
# Standard deviation of the grain, in levels of brightness.
GRAIN_LEVELS = 3.0


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
