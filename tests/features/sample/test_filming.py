from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from features.sample.config import SampleConfig
from features.sample.filming import WORLD_WIDTHS, build_world, film_clip, picture_cover
from features.sample.plan import ClipPlan
from features.sample.worlds import SCENERY

CONFIG = SampleConfig(width=96, height=72)


def make_plan(
    *, scene: str = "forest", move: str = "still", tags: frozenset[str] = frozenset(), index: int = 0
) -> ClipPlan:
    return ClipPlan(index, f"clip-{index}", scene, "music", move, "", tags, half_seconds=4)


def ramp_world() -> npt.NDArray[np.uint8]:
    """A panorama that gets brighter from the west to the east."""
    columns = np.linspace(20, 220, round(WORLD_WIDTHS * CONFIG.width)).astype(np.uint8)
    return np.tile(columns[None, :, None], (CONFIG.height, 1, 3))


@pytest.mark.parametrize("scene", sorted(SCENERY))
@pytest.mark.parametrize(("forward", "backward"), [("pan right", "pan left"), ("fade in", "fade out")])
def test_one_of_a_pair_is_the_other_run_backwards(scene: str, forward: str, backward: str) -> None:
    plan = make_plan(scene=scene, tags=frozenset({"red balloon"}), move=forward)
    world = build_world(plan, CONFIG)
    frames = film_clip(world, plan, CONFIG)
    assert frames.shape == (21, 72, 96, 3)
    assert not np.array_equal(frames[0], frames[-1])
    np.testing.assert_array_equal(film_clip(world, replace(plan, move=backward), CONFIG), frames[::-1])


def test_a_pan_to_the_right_goes_east() -> None:
    means = [
        film_clip(ramp_world(), make_plan(move=move), CONFIG).mean(axis=(1, 2, 3)) for move in ("pan right", "pan left")
    ]
    assert means[0][-1] - means[0][0] > 20
    assert means[1][-1] - means[1][0] < -20


def test_a_fade_in_gets_brighter_all_the_time_and_a_still_stays() -> None:
    means = [
        film_clip(ramp_world(), make_plan(move=move), CONFIG).mean(axis=(1, 2, 3)) for move in ("fade in", "still")
    ]
    assert (np.diff(means[0]) > 0).all()
    # A deer may walk through it.
    assert np.ptp(means[1]) < 0.05 * means[1].mean()


@pytest.mark.parametrize("move", ["pan left", "fade out", "fade in"])
def test_the_cover_tells_nothing_of_the_move(move: str) -> None:
    plan = make_plan()
    world = build_world(plan, CONFIG)
    np.testing.assert_array_equal(
        picture_cover(world, plan, CONFIG), picture_cover(world, replace(plan, move=move), CONFIG)
    )


def test_the_presenter_is_on_the_cover_and_not_in_the_film() -> None:
    plan = make_plan()
    hosted = replace(plan, tags=frozenset({"presenter"}))
    world = build_world(plan, CONFIG)
    np.testing.assert_array_equal(build_world(hosted, CONFIG), world)
    np.testing.assert_array_equal(film_clip(world, plan, CONFIG), film_clip(world, hosted, CONFIG))
    assert not np.array_equal(picture_cover(world, plan, CONFIG), picture_cover(world, hosted, CONFIG))


def test_what_the_balloon_tag_says_is_in_the_film() -> None:
    def reddest(tags: frozenset[str], index: int) -> int:
        plan = make_plan(tags=tags, index=index)
        frames = film_clip(ramp_world(), plan, CONFIG).astype(int)
        return int((frames[..., 0] - frames[..., 1:].max(axis=-1)).max())

    # The ramp is grey, a deer is brown and other balloons are yellow or blue.
    assert min(reddest(frozenset({"red balloon"}), index) for index in range(8)) > 120
    assert max(reddest(frozenset(), index) for index in range(8)) < 80


@pytest.mark.parametrize("scene", sorted(SCENERY))
def test_nights_are_darker(scene: str) -> None:
    day, night = (
        np.mean([build_world(make_plan(scene=scene, tags=tags, index=index), CONFIG).mean() for index in range(4)])
        for tags in (frozenset[str](), frozenset({"night"}))
    )
    assert night < 0.6 * day
