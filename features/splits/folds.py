"""Folds for cross-validation: stratified by label, and never cutting through a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.errors import SettingError
from features.splits.assignment import group_clips
from features.splits.stratify import Part, numbered_labels, share_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.records import ClipRecord

NO_FOLD = -1
"""The fold of a clip of the test split."""


def assign_folds(records: Sequence[ClipRecord], splits: Sequence[str], *, num_folds: int, seed: int) -> list[int]:
    """Return for each record its fold, 0 to ``num_folds`` - 1, or ``NO_FOLD`` for a clip of the test split.

    Groups are those of the splits; each goes whole to the fold where its labels are missing most (see
    :func:`share_out`). No fold is empty.

    Args:
        records: The clips.
        splits: Their splits, in the same order.
        num_folds: At least 2.
        seed: Of the order among groups that are equal.

    Raises:
        SettingError: There are fewer groups than folds.
    """
    positions = [position for position, split in enumerate(splits) if split != "test"]
    kept = [records[position] for position in positions]
    groups = group_clips(kept)
    if len(groups) < num_folds:
        raise SettingError(
            f"{num_folds} folds were asked for, but the {len(kept)} clips outside the test split are"
            f" {len(groups)} groups, which are never cut: ask for fewer folds, or give a larger manifest"
        )
    labels, totals = numbered_labels(kept)
    folds = [Part(1 / num_folds, totals, len(kept)) for _ in range(num_folds)]
    # An empty fold misses all of every label, which is the most there is: each of the first groups opens one.
    share_out(groups, folds, labels, totals, seed)
    result = [NO_FOLD] * len(records)
    for number, fold in enumerate(folds):
        for member in fold.members:
            result[positions[member]] = number
    return result
