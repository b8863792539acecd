"""Folds hold every clip outside the test split once, keep groups whole, and keep the shares of the labels."""

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
from features.splits.assignment import assign_splits
from features.splits.folds import NO_FOLD, assign_folds
from tests.features.splits.test_assignment import RECORDS, components, unbalanced_corpus


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
