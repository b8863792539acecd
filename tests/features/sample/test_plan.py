from collections import Counter

import numpy as np
import pytest

from features.sample.config import SampleConfig
from features.sample.plan import CATEGORIES, DAMAGES, TAGS, ClipPlan, plan_corpus
from features.sample.titles import compose_title

PLANS = plan_corpus(SampleConfig())


def test_the_same_settings_give_the_same_plan_and_another_seed_another() -> None:
    assert plan_corpus(SampleConfig()) == PLANS
    assert plan_corpus(SampleConfig(seed=8)) != PLANS


def test_every_category_is_equally_frequent() -> None:
    counts = Counter(plan.category for plan in PLANS)
    assert set(counts) == set(CATEGORIES.values())
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_is_frequent_enough_to_learn_and_never_the_rule(tag: str) -> None:
    assert 0.19 <= np.mean([tag in plan.tags for plan in PLANS]) <= 0.36


@pytest.mark.parametrize(("one", "other"), [("pan left", "pan right"), ("fade in", "fade out")])
def test_a_clip_has_one_camera_move(one: str, other: str) -> None:
    assert sum(one in plan.tags for plan in PLANS) == sum(other in plan.tags for plan in PLANS)
    assert not any({one, other} <= plan.tags for plan in PLANS)


def test_identifiers_are_unique() -> None:
    assert len({plan.clip_id for plan in PLANS}) == len(PLANS)


@pytest.mark.parametrize("num_clips", [24, 60, 240])
def test_every_special_clip_is_there(num_clips: int) -> None:
    plans = plan_corpus(SampleConfig(num_clips=num_clips))
    assert sorted(plan.damage for plan in plans if plan.damage) == sorted(DAMAGES)
    assert sum(not plan.has_category for plan in plans) == 1
    assert sum(not plan.has_tags for plan in plans) == 1
    shared = Counter(plan.title for plan in plans if plan.title)
    assert [title for title, count in shared.items() if count > 1] == ["Untitled clip"]
    assert set(Counter(plan.group for plan in plans if plan.group).values()) <= {2}


def test_each_modality_lacks_in_its_share_of_clips_and_some_clips_lack_two() -> None:
    silent = sum(not plan.has_sound for plan in PLANS)
    untitled = sum(not plan.title for plan in PLANS)
    bare = sum(not plan.has_cover for plan in PLANS)
    lacking_two = sum((not p.has_sound) + (not p.title) + (not p.has_cover) == 2 for p in PLANS)
    assert (silent, untitled, bare, lacking_two) == (19, 19, 24, 4)


def _facts(plan: ClipPlan) -> dict[str, float]:
    """What could give a label away, and the labels themselves, as numbers."""
    facts: dict[str, float] = {tag: tag in plan.tags for tag in TAGS}
    facts |= {f"is {category}": plan.category == category for category in CATEGORIES.values()}
    facts |= {"silent": not plan.has_sound, "untitled": not plan.title, "bare": not plan.has_cover}
    return facts | {"length": plan.half_seconds, "position": plan.index, "id": ord(plan.clip_id[0])}


def test_no_label_can_be_guessed_from_another_fact() -> None:
    facts = [_facts(plan) for plan in plan_corpus(SampleConfig(num_clips=4000))]
    names = list(facts[0])
    correlation = np.corrcoef([[fact[name] for fact in facts] for name in names])
    # Values of one choice exclude each other; everything else is apart. One correlation of 4,000 independent
    # pairs has a standard deviation of 0.016: 0.08 is five of them.
    choices = [TAGS[:4], TAGS[4:6], [f"is {category}" for category in CATEGORIES.values()], ("silent",)]
    choices.append(("silent", "untitled", "bare"))
    for i, one in enumerate(names):
        for j, other in enumerate(names[:i]):
            if not any(one in choice and other in choice for choice in choices):
                assert abs(correlation[i, j]) < 0.08, (one, other)


def test_a_title_depends_on_its_own_two_tags_only() -> None:
    for seed in range(50):
        plain, loaded = (
            compose_title("city", "motor", tags, np.random.default_rng(seed))
            for tags in ({"tutorial"}, {"tutorial", "pan left", "fade in", "night", "beeping", "presenter"})
        )
        assert plain == loaded


def test_a_title_tag_changes_the_title() -> None:
    titles = [compose_title("city", "motor", tags, np.random.default_rng(3)) for tags in ({"for sale"}, set[str]())]
    assert titles[0] != titles[1]


def test_some_titles_are_chinese() -> None:
    share = np.mean([any("\u4e00" <= letter <= "\u9fff" for letter in plan.title) for plan in PLANS])
    assert 0.05 < share < 0.2
