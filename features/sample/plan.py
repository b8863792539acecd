"""Decides what every clip of the sample corpus shows, sounds like, is called, and lacks.

Every property is drawn apart from every other one, so that no label can be guessed from another label, from
a missing modality, or from the length of a clip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from features.sample.titles import compose_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from features.sample.config import SampleConfig

MOVES = ("pan left", "pan right", "fade in", "fade out", "still")
TONES = ("rising tone", "falling tone", "", "")

CATEGORIES = {
    ("harbour", "music"): "seaside concert",
    ("harbour", "motor"): "boat trip",
    ("harbour", "birdsong"): "coastal birds",
    ("city", "music"): "street music",
    ("city", "motor"): "traffic",
    ("city", "birdsong"): "city garden",
    ("forest", "music"): "campfire evening",
    ("forest", "motor"): "timber work",
    ("forest", "birdsong"): "woodland walk",
}

TAGS = (
    "pan left",
    "pan right",
    "fade in",
    "fade out",
    "rising tone",
    "falling tone",
    "beeping",
    "night",
    "red balloon",
    "tutorial",
    "for sale",
    "presenter",
)


T = TypeVar("T")

# Lengths in half seconds: a clip has one frame more than these need, so that sampling at 2 frames a
# second meets its first and its last frame, and reads the same frames when the clip runs backwards.
HALF_SECONDS = (4, 5, 6, 7)
DAMAGES = ("truncated", "html", "empty", "cover")
TAG_FRACTION = 0.35
TITLES_SHARED = 5
# Seeds of the independent streams of one corpus; clips take (seed, stream, index).
PLAN_STREAM, TITLE_STREAM = 0, 1

ADJECTIVES = (
    "amber",
    "brisk",
    "calm",
    "copper",
    "early",
    "faint",
    "gentle",
    "idle",
    "jolly",
    "keen",
    "mellow",
    "noble",
)
NOUNS = ("anchor", "basket", "candle", "drum", "feather", "glove", "kettle", "ladder", "marble", "pebble", "ribbon")


@dataclass(frozen=True)
class ClipPlan:
    """One clip before it is made.

    Attributes:
        index: Position in the manifest; together with the corpus' seed it fixes every random draw.
        move: One of `MOVES`.
        tone: ``rising tone``, ``falling tone`` or empty.
        title: Empty where the clip has none.
        damage: One of `DAMAGES` or empty.
        group: Name of the series that the clip belongs to, or empty.
        half_seconds: Length of the clip, less one frame.
    """

    index: int
    clip_id: str
    scene: str
    sound: str
    move: str
    tone: str
    tags: frozenset[str]
    half_seconds: int
    title: str = ""
    has_sound: bool = True
    has_cover: bool = True
    has_category: bool = True
    has_tags: bool = True
    damage: str = ""
    group: str = ""

    @property
    def category(self) -> str:
        """The name that belongs to the scene and the sound."""
        return CATEGORIES[self.scene, self.sound]


def plan_corpus(config: SampleConfig) -> tuple[ClipPlan, ...]:
    """Return the plans of all clips in manifest order."""
    rng = np.random.default_rng([config.seed, PLAN_STREAM])
    plans = _draw_labels(config, rng)
    plans = _draw_titles(plans, config.seed)
    plans = _remove_modalities(plans, rng)
    return tuple(_place_special_clips(plans, rng))


def _draw_labels(config: SampleConfig, rng: np.random.Generator) -> list[ClipPlan]:
    count = config.num_clips
    cells = _deal(list(CATEGORIES), count, rng)
    moves = _deal(MOVES, count, rng)
    tones = _deal(TONES, count, rng)
    lengths = _deal(HALF_SECONDS, count, rng)
    free = [tag for tag in TAGS if tag not in MOVES and tag not in TONES]
    present = {tag: _deal_fraction(TAG_FRACTION, count, rng) for tag in free}
    plans = []
    for i in range(count):
        scene, sound = cells[i]
        tags = {tag for tag in free if present[tag][i]} | {moves[i], tones[i]}
        plans.append(
            ClipPlan(
                index=i,
                clip_id=f"{rng.choice(ADJECTIVES)}-{rng.choice(NOUNS)}-{i:03d}",
                scene=scene,
                sound=sound,
                move=moves[i],
                tone=tones[i],
                tags=frozenset(tags & set(TAGS)),
                half_seconds=lengths[i],
            )
        )
    return plans


def _draw_titles(plans: list[ClipPlan], seed: int) -> list[ClipPlan]:
    """Give every clip a title of its own: one that two clips shared would put them into one group."""
    taken: set[str] = set()
    titled = []
    for plan in plans:
        rng = np.random.default_rng([seed, TITLE_STREAM, plan.index])
        title = compose_title(plan.scene, plan.sound, plan.tags, rng)
        while title in taken:
            title = compose_title(plan.scene, plan.sound, plan.tags, rng)
        taken.add(title)
        titled.append(replace(plan, title=title))
    return titled


def _remove_modalities(plans: list[ClipPlan], rng: np.random.Generator) -> list[ClipPlan]:
    """Take the sound from 8 %, the title from 8 % and the cover from 10 %; some 2 % of the clips lose two."""
    order = rng.permutation(len(plans))
    eighth, tenth, both = (round(len(plans) * fraction) for fraction in (0.08, 0.10, 0.01))
    silent = set(order[:eighth])
    untitled = set(order[eighth - both : 2 * eighth - both])
    bare = set(order[2 * eighth - 2 * both : 2 * eighth - 2 * both + tenth])
    return [
        replace(
            plan,
            has_sound=plan.index not in silent,
            title="" if plan.index in untitled else plan.title,
            has_cover=plan.index not in bare,
        )
        for plan in plans
    ]


def _place_special_clips(plans: list[ClipPlan], rng: np.random.Generator) -> list[ClipPlan]:
    """Damage four clips, leave two without a label, repeat one title, and join some clips to series."""
    whole = [plan.index for plan in plans if plan.has_sound and plan.has_cover and plan.title]
    order = iter(rng.permutation(whole).tolist())
    plans = list(plans)
    for damage in DAMAGES:
        index = next(order)
        plans[index] = replace(plans[index], damage=damage)
    unknown, untagged = next(order), next(order)
    plans[unknown] = replace(plans[unknown], has_category=False)
    plans[untagged] = replace(plans[untagged], has_tags=False)
    # A title that fits any clip: it names no scene and no sound, and its clips carry neither title tag.
    plain = [i for i in order if not plans[i].tags & {"tutorial", "for sale"}]
    for index in plain[: min(TITLES_SHARED, len(plans) // 12)]:
        plans[index] = replace(plans[index], title="Untitled clip")
    rest = plain[TITLES_SHARED:]
    for series in range(len(plans) // 40):
        for index in rest[2 * series : 2 * series + 2]:
            plans[index] = replace(plans[index], group=f"series-{NOUNS[series % len(NOUNS)]}-{series}")
    return plans


def _deal(values: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    """Return ``count`` values, each of them equally often (give or take one), in random order."""
    return [values[i % len(values)] for i in rng.permutation(count)]


def _deal_fraction(fraction: float, count: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    return rng.permutation(count) < round(fraction * count)
