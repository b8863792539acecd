"""The light of a scene: by day, at dusk, under clouds, at night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Colours of the sky and what the light does to every other colour.

    Attributes:
        shade: Factor on red, green and blue of everything that does not shine.
        lit_share: Share of windows with a light behind them.
    """

    sky_top: Colour
    sky_low: Colour
    orb: Colour
    shade: tuple[float, float, float]
    lit_share: float
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
WINDOW_LIGHT: Colour = (255, 214, 110)


def draw_palette(is_night: bool, rng: np.random.Generator) -> Palette:
    """Return one of the lights that fit."""
    choices = NIGHTS if is_night else DAYS
    return choices[int(rng.integers(len(choices)))]
