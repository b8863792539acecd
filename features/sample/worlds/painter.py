"""A drawing surface measured in picture heights, so that no scene depends on the number of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from features.sample.worlds.palette import Colour

UInt8 = npt.NDArray[np.uint8]
# Shapes are drawn twice as large as shown and averaged down, which smooths their edges.
OVERSAMPLING = 2


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
            share = (row - first) / (last - first)
            mixed = tuple(round(a + (b - a) * share) for a, b in zip(upper, lower, strict=True))
            self._draw.line([(0, row), (self._image.width, row)], fill=mixed)

    def pixels(self) -> UInt8:
        """Return the picture, ``(rows, columns, 3)``; without a background ``(rows, columns, 4)``."""
        return np.asarray(self._image.reduce(OVERSAMPLING), dtype=np.uint8)
