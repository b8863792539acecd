"""Titles in English and Chinese that reveal a part of a clip's labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    import numpy as np

# What a title gives away, and how often: then titles alone reach about a third of the category accuracy.
HINTS = ("scene", "sound", "both", "neither")
HINT_SHARES = (0.35, 0.25, 0.10, 0.30)
CHINESE_FRACTION = 0.12


@dataclass(frozen=True)
class Vocabulary:
    """The words of one language; ``{}`` takes the subject, a joint puts two subjects together."""

    scenes: dict[str, tuple[str, ...]]
    sounds: dict[str, tuple[str, ...]]
    neither: tuple[str, ...]
    joint: str
    tutorial: tuple[str, ...]
    plain: tuple[str, ...]
    for_sale: tuple[str, ...]
    not_for_sale: tuple[str, ...]
    places: tuple[str, ...]


ENGLISH = Vocabulary(
    scenes={
        "harbour": ("the old pier", "fishing boats", "the lighthouse", "calm sea", "the quay", "the coast"),
        "city": ("the avenue", "downtown rooftops", "the main square", "tall buildings", "the tram stop", "the street"),
        "forest": ("the pine trail", "the woods", "a forest clearing", "the campsite", "tall trees", "the meadow"),
    },
    sounds={
        "music": ("a guitar tune", "my new song", "a soft melody", "live music", "the band", "an easy rhythm"),
        "motor": ("a diesel engine", "my loud motor", "heavy machines", "the generator", "an old engine", "horsepower"),
        "birdsong": (
            "singing birds",
            "the dawn chorus",
            "a robin",
            "chirping sparrows",
            "nesting birds",
            "a blackbird",
        ),
    },
    neither=("a quiet day", "our weekend", "something new", "a short break", "one minute off", "the usual place"),
    joint="{0} and {1}",
    tutorial=(
        "How to film {}",
        "A beginner's guide to {}",
        "Learn step by step: {}",
        "Tutorial: {}",
        "Lesson one, {}",
    ),
    plain=(
        "A look at {}",
        "Remember {}?",
        "Once more {}",
        "Sunday with {}",
        "We found {}",
        "Hello from {}",
        "My friend and {}",
    ),
    for_sale=("prints for sale", "buy it today", "selling everything", "half price this week", "order yours now"),
    not_for_sale=("as it was", "before breakfast", "no comment", "just for fun", "after a long week", "with friends"),
    places=("Marlow", "Eastbay", "Linden", "Norwick", "Ashford", "Quill", "Tamsin", "Orrin", "Velden", "Harrow"),
)

CHINESE = Vocabulary(
    scenes={
        "harbour": ("海港", "渔船", "灯塔", "大海"),
        "city": ("城市街道", "高楼", "广场", "电车站"),
        "forest": ("森林小路", "树林", "草地", "营地"),
    },
    sounds={
        "music": ("吉他音乐", "新歌", "旋律", "乐队"),
        "motor": ("发动机", "马达", "机器声", "旧引擎"),
        "birdsong": ("鸟鸣", "小鸟唱歌", "麻雀", "鸟叫声"),
    },
    neither=("安静的一天", "我们的周末", "一分钟休息", "老地方"),
    joint="{0}和{1}",
    tutorial=("教程：{}", "新手入门：{}", "一步一步学{}", "第一课，{}"),
    plain=("看看{}", "你好，{}", "又见{}", "记得{}吗"),
    for_sale=("低价出售", "今天购买", "半价转让"),
    not_for_sale=("随便拍拍", "早饭之前", "和朋友一起"),
    places=("东湾", "林镇", "北桥", "南山", "西河"),
)


def compose_title(scene: str, sound: str, tags: AbstractSet[str], rng: np.random.Generator) -> str:
    """Return one line that states whether the clip is a tutorial or for sale, and hints at scene or sound.

    Nothing else of ``tags`` has any influence.
    """
    words = CHINESE if rng.random() < CHINESE_FRACTION else ENGLISH
    hint = str(rng.choice(HINTS, p=HINT_SHARES))
    subject = _subject(words, hint, words.scenes[scene], words.sounds[sound], rng)
    opening = _pick(words.tutorial if "tutorial" in tags else words.plain, rng).format(subject)
    ending = _pick(words.for_sale if "for sale" in tags else words.not_for_sale, rng)
    place = _pick(words.places, rng)
    return f"{opening}，{place}，{ending}" if words is CHINESE else f"{opening} in {place}, {ending}"


def _subject(
    words: Vocabulary, hint: str, seen: tuple[str, ...], heard: tuple[str, ...], rng: np.random.Generator
) -> str:
    if hint == "scene":
        return _pick(seen, rng)
    if hint == "sound":
        return _pick(heard, rng)
    if hint == "both":
        return words.joint.format(_pick(seen, rng), _pick(heard, rng))
    return _pick(words.neither, rng)


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
