"""Things that move before a panorama, and the presenter of a cover: pictures with a transparent ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.sample.worlds.painter import Painter, UInt8

if TYPE_CHECKING:
    import numpy as np

    from features.sample.worlds.palette import Colour

PAINTS: tuple[Colour, ...] = ((60, 110, 180), (236, 236, 230), (70, 140, 96), (214, 170, 60), (200, 56, 50))
SKINS: tuple[Colour, ...] = ((236, 196, 164), (204, 150, 112), (140, 96, 70), (96, 64, 48))
RED_BALLOON: Colour = (222, 36, 40)
# Balloons of other colours fly where the tag is absent, so that not every balloon is the red one.
OTHER_BALLOONS: tuple[Colour, ...] = ((240, 200, 60), (80, 130, 220))


def draw_boat(height_pixels: int, rng: np.random.Generator) -> UInt8:
    """Return a sailing boat."""
    painter = Painter(1.1, height_pixels)
    paint = _pick(PAINTS, rng)
    painter.line([(0.55, 0.05), (0.55, 0.8)], 0.03, (80, 62, 50))
    painter.polygon([(0.58, 0.08), (0.98, 0.7), (0.58, 0.7)], (244, 240, 230))
    painter.polygon([(0.52, 0.16), (0.2, 0.7), (0.52, 0.7)], (228, 222, 210))
    painter.polygon([(0.05, 0.76), (1.05, 0.76), (0.86, 0.98), (0.2, 0.98)], paint)
    return painter.pixels()


def draw_car(height_pixels: int, rng: np.random.Generator) -> UInt8:
    """Return a car seen from the side."""
    painter = Painter(2.2, height_pixels)
    paint = _pick(PAINTS, rng)
    painter.polygon([(0.5, 0.45), (0.75, 0.08), (1.5, 0.08), (1.8, 0.45)], paint)
    painter.polygon([(0.68, 0.42), (0.82, 0.16), (1.1, 0.16), (1.1, 0.42)], (190, 216, 228))
    painter.polygon([(1.18, 0.42), (1.18, 0.16), (1.44, 0.16), (1.62, 0.42)], (190, 216, 228))
    painter.box(0.08, 0.44, 2.12, 0.8, paint)
    for x in (0.55, 1.65):
        painter.oval(x, 0.8, 0.19, 0.19, (30, 30, 34))
        painter.oval(x, 0.8, 0.08, 0.08, (170, 170, 176))
    return painter.pixels()


def draw_deer(height_pixels: int, rng: np.random.Generator) -> UInt8:
    """Return a deer."""
    painter = Painter(1.1, height_pixels)
    coat: Colour = ((150, 98, 58), (124, 84, 56), (172, 122, 80))[int(rng.integers(3))]
    for x in (0.3, 0.38, 0.68, 0.76):
        painter.line([(x, 0.6), (x, 0.98)], 0.04, coat)
    painter.oval(0.53, 0.56, 0.3, 0.13, coat)
    painter.polygon([(0.7, 0.56), (0.82, 0.24), (0.92, 0.28), (0.84, 0.58)], coat)
    painter.oval(0.93, 0.26, 0.1, 0.055, coat)
    for tip in (0.7, 0.8):
        painter.line([(0.86, 0.22), (tip, 0.03)], 0.025, (96, 70, 50))
        painter.line([(0.82, 0.13), (tip + 0.12, 0.03)], 0.02, (96, 70, 50))
    return painter.pixels()


def draw_balloon(height_pixels: int, colour: Colour) -> UInt8:
    """Return a balloon on a string."""
    painter = Painter(0.6, height_pixels)
    painter.line([(0.3, 0.6), (0.26, 0.78), (0.33, 0.98)], 0.015, (90, 90, 90))
    painter.oval(0.3, 0.31, 0.25, 0.3, colour)
    painter.polygon([(0.3, 0.59), (0.25, 0.66), (0.35, 0.66)], colour)
    painter.oval(0.22, 0.2, 0.05, 0.08, (255, 240, 235))
    return painter.pixels()


def draw_presenter(height_pixels: int, rng: np.random.Generator) -> UInt8:
    """Return head and shoulders of a person."""
    painter = Painter(0.9, height_pixels)
    skin, hair = _pick(SKINS, rng), _pick(((40, 30, 26), (96, 60, 36), (196, 160, 90), (120, 120, 124)), rng)
    painter.oval(0.45, 1.0, 0.42, 0.36, _pick(PAINTS, rng))
    painter.oval(0.45, 0.36, 0.24, 0.3, hair)
    painter.box(0.38, 0.55, 0.52, 0.74, skin)
    painter.oval(0.45, 0.42, 0.19, 0.25, skin)
    painter.oval(0.45, 0.22, 0.19, 0.1, hair)
    for x in (0.38, 0.52):
        painter.oval(x, 0.41, 0.036, 0.026, (250, 250, 250))
        painter.oval(x, 0.41, 0.018, 0.022, (40, 40, 50))
        painter.line([(x - 0.04, 0.36), (x + 0.04, 0.36)], 0.012, hair)
    painter.line([(0.45, 0.42), (0.44, 0.5), (0.47, 0.5)], 0.01, (120, 80, 66))
    painter.oval(0.45, 0.57, 0.07, 0.022, (176, 70, 70))
    return painter.pixels()


def paste(picture: UInt8, figure: UInt8, left: int, top: int) -> None:
    """Lay ``figure`` (with transparency) over ``picture`` in place; what lies outside is cut off."""
    rows, columns, _ = picture.shape
    first_row, last_row = max(0, top), min(rows, top + figure.shape[0])
    first_column, last_column = max(0, left), min(columns, left + figure.shape[1])
    if first_row >= last_row or first_column >= last_column:
        return
    part = figure[first_row - top : last_row - top, first_column - left : last_column - left]
    target = picture[first_row:last_row, first_column:last_column]
    opacity = part[..., 3:].astype("float32") / 255
    target[:] = (part[..., :3] * opacity + target * (1 - opacity) + 0.5).astype("uint8")


def _pick(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]
