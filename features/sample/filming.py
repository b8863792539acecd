"""Films a panorama: the frames of a clip and its cover.

Every clip is filmed as a pan to the right, a fade in, or a still; a pan to the left and a fade out are such
a film run backwards. What else moves (a boat, a balloon) goes either way equally often. So the frames of
one direction, taken as a set, are distributed exactly like those of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.sample.painter import (
    OTHER_BALLOONS,
    RED_BALLOON,
    draw_balloon,
    draw_boat,
    draw_car,
    draw_deer,
    draw_presenter,
    paste,
)
from features.sample.worlds import paint_world

if TYPE_CHECKING:
    from features.sample.config import SampleConfig
    from features.sample.painter import UInt8
    from features.sample.plan import ClipPlan

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

BACKWARD_MOVES = ("pan left", "fade out")
# Length of a panorama in frame widths.
WORLD_WIDTHS = 2.2
# The moving figure of each scene: its drawing, its height, and its position, in picture heights.
ACTORS = {
    "harbour": (draw_boat, 0.3, 0.72),
    "city": (draw_car, 0.13, 0.97),
    "forest": (draw_deer, 0.24, 0.93),
}
ACTOR_FRACTION = 0.75
# Factor on red, green, blue and opacity.
NIGHT_SHADE = (0.45, 0.45, 0.55, 1.0)
BALLOON_HEIGHT = 0.34
OTHER_BALLOON_FRACTION = 0.35
# Seeds of the independent streams of one clip: (seed, stream, index).
WORLD_STREAM, FILM_STREAM, COVER_STREAM = 2, 3, 4


@dataclass(frozen=True)
class Figure:
    """Something that moves through a clip.

    Attributes:
        picture: ``(rows, columns, 4)``.
        lefts: ``(T,)`` its left edge in the panorama, in pixels.
        tops: ``(T,)`` its upper edge, in pixels.
    """

    picture: UInt8
    lefts: Int64
    tops: Int64


def count_frames(plan: ClipPlan, config: SampleConfig) -> int:
    """Return how many frames the clip has: whole half seconds and one frame."""
    return plan.half_seconds * config.frames_per_second // 2 + 1


def build_world(plan: ClipPlan, config: SampleConfig) -> UInt8:
    """Return the panorama of a clip, ``(height, 2.2 * width, 3)``."""
    rng = np.random.default_rng([config.seed, WORLD_STREAM, plan.index])
    size = (round(WORLD_WIDTHS * config.width), config.height)
    return paint_world(plan.scene, "night" in plan.tags, size, rng)


def film_clip(world: UInt8, plan: ClipPlan, config: SampleConfig) -> UInt8:
    """Return the frames of a clip, ``(T, height, width, 3)``, filmed in its panorama."""
    rng = np.random.default_rng([config.seed, FILM_STREAM, plan.index])
    progress = np.linspace(0.0, 1.0, count_frames(plan, config))
    lefts = _aim_camera(plan.move, progress, (config.width, world.shape[1]), rng)
    levels = _expose(plan.move, progress, rng)
    figures = [*_cast_actor(plan, config, lefts, rng), *_cast_balloon(plan, config, lefts, rng)]
    frames = np.empty((len(progress), config.height, config.width, 3), dtype=np.uint8)
    for i, left in enumerate(lefts):
        view = world[:, left : left + config.width].copy()
        for figure in figures:
            paste(view, figure.picture, int(figure.lefts[i] - left), int(figure.tops[i]))
        # A table of all 256 levels: several times quicker than arithmetic on every pixel.
        table = np.rint(np.arange(256) * levels[i]).clip(0, 255).astype(np.uint8)
        frames[i] = table[view]
    return frames[::-1] if plan.move in BACKWARD_MOVES else frames


def picture_cover(world: UInt8, plan: ClipPlan, config: SampleConfig) -> UInt8:
    """Return the cover, ``(height, width, 3)``: some view of the panorama, and the presenter if any."""
    rng = np.random.default_rng([config.seed, COVER_STREAM, plan.index])
    left = int(rng.integers(world.shape[1] - config.width + 1))
    view: UInt8 = world[:, left : left + config.width].copy()
    if "presenter" in plan.tags:
        rows = round(config.height * rng.uniform(0.6, 0.85))
        person = draw_presenter(rows, rng)
        middle = config.width * rng.uniform(0.35, 0.65)
        paste(view, person, round(middle - person.shape[1] / 2), config.height - rows)
    return view


def _aim_camera(move: str, progress: Float64, widths: tuple[int, int], rng: np.random.Generator) -> Int64:
    """Return ``(T,)`` the left edge of the view: still, or from the west to the east at an even speed."""
    view, world = widths
    span = world - view
    travel = span * rng.uniform(0.5, 1.0) if move.startswith("pan") else 0.0
    start = rng.uniform(0.0, span - travel)
    return np.rint(start + travel * progress).astype(np.int64)


def _expose(move: str, progress: Float64, rng: np.random.Generator) -> Float64:
    """Return ``(T,)`` factors of brightness: even, or from dark to full."""
    gain = rng.uniform(0.85, 1.05)
    dark = rng.uniform(0.02, 0.4)
    fraction = dark + (1.0 - dark) * progress if move.startswith("fade") else np.ones_like(progress)
    return np.asarray(gain * fraction)


def _cast_actor(plan: ClipPlan, config: SampleConfig, lefts: Int64, rng: np.random.Generator) -> list[Figure]:
    """Return what moves along the ground, or nothing; it faces and moves either way."""
    draw, height, foot = ACTORS[plan.scene]
    rows = round(height * config.height)
    picture = draw(rows, rng)
    if rng.integers(2):
        picture = picture[:, ::-1]
    if "night" in plan.tags:
        picture = np.multiply(picture, NIGHT_SHADE).astype(np.uint8)
    across = _drift(len(lefts), 0.5 * config.width, rng)
    middle = (lefts[0] + lefts[-1]) / 2 + config.width * rng.uniform(0.2, 0.8)
    columns = np.rint(middle + across - picture.shape[1] / 2).astype(np.int64)
    tops = np.full(len(lefts), round(foot * config.height) - rows)
    return [Figure(picture, columns, tops)] if rng.random() < ACTOR_FRACTION else []


def _cast_balloon(plan: ClipPlan, config: SampleConfig, lefts: Int64, rng: np.random.Generator) -> list[Figure]:
    """Return the red balloon, seldom one of another colour instead, or nothing; it stays in view."""
    colour = OTHER_BALLOONS[int(rng.integers(len(OTHER_BALLOONS)))]
    is_other = rng.random() < OTHER_BALLOON_FRACTION
    rows = round(BALLOON_HEIGHT * config.height * rng.uniform(0.5, 1.1))
    middle = config.width * rng.uniform(0.3, 0.7)
    across = _drift(len(lefts), 0.25 * config.width, rng)
    down = config.height * rng.uniform(0.1, 0.4) + _drift(len(lefts), 0.2 * config.height, rng)
    if "red balloon" in plan.tags:
        colour = RED_BALLOON
    elif not is_other:
        return []
    picture = draw_balloon(rows, colour)
    columns = np.rint(lefts + middle + across - picture.shape[1] / 2).astype(np.int64)
    return [Figure(picture, columns, np.rint(down).astype(np.int64))]


def _drift(num_frames: int, reach: float, rng: np.random.Generator) -> Float64:
    """Return ``(T,)`` offsets of an even motion around 0; its direction is left to chance."""
    return rng.uniform(-reach, reach) * np.linspace(-0.5, 0.5, num_frames)
