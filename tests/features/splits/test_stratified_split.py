from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from features.base.errors import SettingError
from features.formats.records import SPLITS, ClipRecord
from features.splits.stratified_split import NO_FOLD, assign_folds, assign_splits, group_clips, normalised_title

TITLES = st.sampled_from(
    ["", " ", "A cat", "a  CAT", "Ａ ｃａｔ", "Straße", "STRASSE", "一只猫", "dog", "bird", "fish"]
)
RECORDS = st.lists(
    st.builds(
        ClipRecord,
        clip_id=st.uuids().map(str),
        title=TITLES,
        group=st.sampled_from(["", "", "g1", "g2", "g3"]),
        category=st.none() | st.sampled_from("xyz"),
        tags=st.none() | st.sets(st.sampled_from("tuv")).map(lambda tags: tuple(sorted(tags))),
        split=st.sampled_from(["", "", "", *SPLITS]),
    ),
    max_size=25,
)
FRACTIONS = st.sampled_from([0.0, 0.15, 0.3])


def split(records: list[ClipRecord], validation: float = 0.15, test: float = 0.15, seed: int = 7) -> list[str]:
    return assign_splits(records, validation_fraction=validation, test_fraction=test, seed=seed)


def bound(one: ClipRecord, other: ClipRecord) -> bool:
    same_group = one.group != "" and one.group == other.group
    title = normalised_title(one.title)
    return same_group or (title != "" and title == normalised_title(other.title))


def components(records: list[ClipRecord]) -> list[set[int]]:
    """The groups, found by walking over every pair again and again."""
    parts = [{position} for position in range(len(records))]
    for one in range(len(records)):
        for other in range(one):
            if bound(records[one], records[other]):
                first = next(part for part in parts if one in part)
                second = next(part for part in parts if other in part)
                if first is not second:
                    parts.remove(second)
                    first |= second
    return parts


@pytest.mark.parametrize(
    ("one", "other"), [("A cat", "a  CAT "), ("Ａ ｃａｔ", "a cat"), ("Straße", "STRASSE"), ("ﬁn", "FIN"), ("ㄱ", "ᄀ")]
)
def test_titles_are_compared_without_form_and_case(one: str, other: str) -> None:
    assert normalised_title(one) == normalised_title(other)


def test_titles_that_differ_stay_apart() -> None:
    assert normalised_title("cat") != normalised_title("cats")
    assert normalised_title(" \t") == ""


def test_groups_join_over_title_and_group() -> None:
    records = [
        ClipRecord("0", title="a", group="g"),
        ClipRecord("1", title="b"),
        ClipRecord("2", title="B", group="h"),
        ClipRecord("3"),
        ClipRecord("4", title="A", group="h"),
        ClipRecord("5"),
    ]
    assert group_clips(records) == [[0, 1, 2, 4], [3], [5]]


@given(RECORDS)
def test_groups_are_the_connected_components(records: list[ClipRecord]) -> None:
    groups = group_clips(records)
    assert sorted(map(sorted, groups)) == sorted(map(sorted, components(records)))
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)


@given(RECORDS, FRACTIONS, FRACTIONS, st.integers(0, 3))
def test_a_split_is_whole_and_honours_groups_and_fixed_splits(
    records: list[ClipRecord], validation: float, test: float, seed: int
) -> None:
    splits = split(records, validation, test, seed)
    assert len(splits) == len(records)
    assert set(splits) <= set(SPLITS)
    assert splits == split(records, validation, test, seed)
    fixed = set()
    for group in components(records):
        names = {splits[position] for position in group}
        assert len(names) == 1
        wanted = [records[position].split for position in sorted(group) if records[position].split]
        assert not wanted or names == {wanted[0]}
        fixed |= set(wanted[:1])
    for name, fraction in (("validation", validation), ("test", test)):
        assert fraction > 0 or name not in splits or name in fixed


@given(st.integers(20, 300), st.sampled_from([(0.15, 0.15), (0.1, 0.2), (0.0, 0.3), (0.25, 0.0)]), st.integers(0, 9))
def test_single_clips_fill_the_fractions(number: int, fractions: tuple[float, float], seed: int) -> None:
    splits = Counter(split([ClipRecord(str(index)) for index in range(number)], *fractions, seed))
    for name, fraction in zip(("validation", "test"), fractions, strict=True):
        assert abs(splits[name] - fraction * number) <= 1


def unbalanced_corpus() -> list[ClipRecord]:
    source = random.Random(0)  # noqa: S311 - the same labels each time
    records = []
    for index in range(400):
        category = source.choices("abcdefgh", weights=[120, 90, 60, 40, 25, 15, 10, 8])[0]
        tags = tuple(tag for tag, share in (("p", 0.5), ("q", 0.1), ("r", 0.03)) if source.random() < share)
        records.append(ClipRecord(str(index), category=category, tags=tags, group=f"g{index // 2}" * (index % 5 < 2)))
    return records


def distance(records: list[ClipRecord], splits: list[str]) -> float:
    """Mean over labels and splits of the difference between the share of a label and the share it should have."""
    shares = {"train": 0.7, "validation": 0.15, "test": 0.15}
    counts: dict[str, Counter[str]] = {}
    for record, name in zip(records, splits, strict=True):
        for label in [f"c{record.category}", *(record.tags or ())]:
            counts.setdefault(label, Counter())[name] += 1
    gaps = [abs(count[name] / count.total() - share) for count in counts.values() for name, share in shares.items()]
    return sum(gaps) / len(gaps)


def test_labels_are_spread_better_than_by_chance() -> None:
    records = unbalanced_corpus()
    splits = split(records)
    ours = distance(records, splits)
    chances = []
    for seed in range(20):
        names = ["train"] * 280 + ["validation"] * 60 + ["test"] * 60
        random.Random(seed).shuffle(names)  # noqa: S311 - likewise
        chances.append(distance(records, names))
    assert ours < min(chances)
    assert ours < 0.5 * sum(chances) / len(chances)
    sizes = Counter(splits)
    assert (sizes["train"], sizes["validation"], sizes["test"]) == pytest.approx((280, 60, 60), abs=8)


def test_another_seed_gives_another_split() -> None:
    records = unbalanced_corpus()
    assert split(records, seed=1) != split(records, seed=2)


@given(RECORDS, st.integers(2, 5), st.integers(0, 3))
def test_folds_share_out_what_is_not_for_testing_and_cut_no_group(
    records: list[ClipRecord], num_folds: int, seed: int
) -> None:
    splits = assign_splits(records, validation_fraction=0.15, test_fraction=0.15, seed=7)
    groups = [group for group in components(records) if splits[min(group)] != "test"]
    if len(groups) < num_folds:
        with pytest.raises(SettingError, match=f"are {len(groups)} groups"):
            assign_folds(records, splits, num_folds=num_folds, seed=seed)
        return

    folds = assign_folds(records, splits, num_folds=num_folds, seed=seed)

    assert [fold == NO_FOLD for fold in folds] == [split == "test" for split in splits]
    assert set(folds) - {NO_FOLD} == set(range(num_folds))
    assert all(len({folds[position] for position in group}) == 1 for group in groups)
    assert folds == assign_folds(records, splits, num_folds=num_folds, seed=seed)


@given(st.lists(st.sampled_from("wxyz"), min_size=10, max_size=80), st.integers(2, 5))
def test_single_clips_of_one_label_are_spread_to_within_one_clip(categories: list[str], num_folds: int) -> None:
    records = [ClipRecord(str(index), category=category) for index, category in enumerate(categories)]

    folds = assign_folds(records, ["train"] * len(records), num_folds=num_folds, seed=0)

    for category in set(categories):
        counts = Counter(fold for fold, own in zip(folds, categories, strict=True) if own == category)
        sizes = [counts[fold] for fold in range(num_folds)]
        assert max(sizes) - min(sizes) <= 1


def _unevenness(records: list[ClipRecord], folds: list[int], num_folds: int) -> float:
    """Mean over categories of the variance of a fold's number of clips of the category."""
    counts: dict[str | None, Counter[int]] = {}
    for record, fold in zip(records, folds, strict=True):
        counts.setdefault(record.category, Counter())[fold] += 1
    return float(np.mean([np.var([count[fold] for fold in range(num_folds)]) for count in counts.values()]))


def test_category_shares_are_kept_as_well_as_scikit_learn_keeps_them() -> None:
    # Tags would pull ours another way; scikit-learn knows of none.
    records = [
        ClipRecord(record.clip_id, category=record.category, group=record.group) for record in unbalanced_corpus()
    ]
    folds = assign_folds(records, ["train"] * len(records), num_folds=5, seed=0)
    groups = [record.group or record.clip_id for record in records]
    theirs = [0] * len(records)
    cut = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(
        records, [record.category for record in records], groups
    )
    for number, (_, held_out) in enumerate(cut):
        for position in held_out:
            theirs[position] = number
    chance = list(folds)
    random.Random(0).shuffle(chance)  # noqa: S311 - the same order each time

    assert _unevenness(records, folds, 5) <= _unevenness(records, theirs, 5)
    assert _unevenness(records, folds, 5) < 0.1 * _unevenness(records, chance, 5)
    assert Counter(folds).most_common()[0][1] - Counter(folds).most_common()[-1][1] <= 4


def test_another_seed_gives_other_folds() -> None:
    records = unbalanced_corpus()
    splits = [SPLITS[0]] * len(records)
    assert assign_folds(records, splits, num_folds=5, seed=1) != assign_folds(records, splits, num_folds=5, seed=2)


def test_fewer_groups_than_folds_are_refused() -> None:
    records = [ClipRecord(str(index), group=f"g{index // 4}") for index in range(12)]
    splits = ["train"] * 8 + ["test"] * 4

    with pytest.raises(
        SettingError, match="3 folds were asked for, but the 8 clips outside the test split are 2 groups"
    ):
        assign_folds(records, splits, num_folds=3, seed=0)
