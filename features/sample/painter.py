"""A drawing surface measured in picture heights, so that no scene depends on the number of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Iterable


Colour = tuple[int, int, int]
WINDOW_LIGHT: Colour = (255, 214, 110)
# Shapes are drawn twice as large as shown and averaged down, which smooths their edges.
OVERSAMPLING = 2
PAINTS: tuple[Colour, ...] = ((60, 110, 180), (236, 236, 230), (70, 140, 96), (214, 170, 60), (200, 56, 50))
SKINS: tuple[Colour, ...] = ((236, 196, 164), (204, 150, 112), (140, 96, 70), (96, 64, 48))
RED_BALLOON: Colour = (222, 36, 40)
# Balloons of other colours fly where the tag is absent, so that not every balloon is the red one.
OTHER_BALLOONS: tuple[Colour, ...] = ((240, 200, 60), (80, 130, 220))


@dataclass(frozen=True)
class Palette:
    """Colours of the sky and what the light does to every other colour.

    Attributes:
        shade: Factor on red, green and blue of everything that does not shine.
        lit_fraction: Fraction of windows with a light behind them.
    """

    sky_top: Colour
    sky_low: Colour
    orb: Colour
    shade: tuple[float, float, float]
    lit_fraction: float
    is_night: bool

    def tint(self, colour: Colour, factor: float = 1.0) -> Colour:
        """Return ``colour`` as this light shows it, made ``factor`` times as bright before."""
        pairs = zip(colour, self.shade, strict=True)
        red, green, blue = (min(255, round(channel * factor * shade)) for channel, shade in pairs)
        return red, green, blue


DAYS = (
    Palette((92, 160, 222), (205, 228, 240), (255, 244, 190), (1.0, 1.0, 1.0), 0.08, False),
    Palette((120, 136, 186), (250, 196, 140), (255, 214, 130), (1.0, 0.86, 0.80), 0.25, False),
    Palette((150, 162, 172), (206, 210, 212), (236, 236, 226), (0.84, 0.87, 0.90), 0.15, False),
)
NIGHTS = (
    Palette((8, 12, 38), (34, 44, 86), (240, 240, 220), (0.28, 0.30, 0.44), 0.6, True),
    Palette((18, 12, 44), (70, 48, 96), (250, 232, 200), (0.34, 0.28, 0.42), 0.6, True),
)


def draw_palette(is_night: bool, rng: np.random.Generator) -> Palette:
    """Return one of the lights that fit."""
    choices = NIGHTS if is_night else DAYS
    return choices[int(rng.integers(len(choices)))]


UInt8 = npt.NDArray[np.uint8]


class Painter:
    """Draws flat shapes; x runs to the right from 0 to ``length``, y downwards from 0 to 1."""

    def __init__(self, length: float, height_pixels: int, *, background: Colour | None = None) -> None:
        self.length = length
        self._scale = OVERSAMPLING * height_pixels
        size = (OVERSAMPLING * round(length * height_pixels), self._scale)
        self._image = Image.new("RGB", size, background) if background else Image.new("RGBA", size)
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Iterable[tuple[float, float]], colour: Colour) -> None:
        """Fill the outline through ``points``."""
        self._draw.polygon([(x * self._scale, y * self._scale) for x, y in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle; one of no size leaves nothing."""
        if right > left and bottom > top:
            corners = ((left, top), (right, top), (right, bottom), (left, bottom))
            self.polygon(corners, colour)

    def oval(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        """Fill an ellipse around ``(x, y)`` with the half axes ``across`` and ``down``."""
        edges = (x - across, y - down, x + across, y + down)
        self._draw.ellipse([edge * self._scale for edge in edges], fill=colour)

    def line(self, points: Iterable[tuple[float, float]], thickness: float, colour: Colour) -> None:
        """Draw a line through ``points``, at least one drawn pixel thick."""
        width = max(1, round(thickness * self._scale))
        self._draw.line([(x * self._scale, y * self._scale) for x, y in points], fill=colour, width=width)

    def gradient(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """Fill the whole length between two heights, from one colour to the other."""
        first, last = round(top * self._scale), round(bottom * self._scale)
        for row in range(first, last):
            fraction = (row - first) / (last - first)
            mixed = tuple(round(a + (b - a) * fraction) for a, b in zip(upper, lower, strict=True))
            self._draw.line([(0, row), (self._image.width, row)], fill=mixed)

    def pixels(self) -> UInt8:
        """Return the picture, ``(rows, columns, 3)``; without a background ``(rows, columns, 4)``."""
        return np.asarray(self._image.reduce(OVERSAMPLING), dtype=np.uint8)


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
    """Lay ``figure`` (with transparency) over ``picture`` in place; parts outside are cut off."""
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
