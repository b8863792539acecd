"""Which clips train, validate and test: stratified by label, and never cutting through a group."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING

from features.formats.records import SPLITS
from features.splits.stratify import Part, numbered_labels, share_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.records import ClipRecord


def normalised_title(title: str) -> str:
    """Return a title as it is compared: NFKC, case-folded, runs of spaces made one; ``""`` for none."""
    # ASCII is NFKC already.
    composed = title if title.isascii() else unicodedata.normalize("NFKC", title)
    return " ".join(composed.casefold().split())


def group_clips(records: Sequence[ClipRecord]) -> list[list[int]]:
    """Return the positions of the clips of each group, groups and members in order of appearance.

    Two clips are of one group when they share the ``group`` field or the normalised title, directly or over
    other clips (union-find).
    """
    parents = list(range(len(records)))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    first_of_group: dict[str, int] = {}
    first_with_title: dict[str, int] = {}
    for position, record in enumerate(records):
        for first_with, key in (
            (first_of_group, record.group),
            (first_with_title, normalised_title(record.title)),
        ):
            if not key:
                continue
            first = first_with.setdefault(key, position)
            if first != position:
                other, own = root(first), root(position)
                parents[max(own, other)] = min(own, other)
    groups: dict[int, list[int]] = defaultdict(list)
    for position in range(len(records)):
        groups[root(position)].append(position)
    return list(groups.values())


def assign_splits(
    records: Sequence[ClipRecord], *, validation_fraction: float, test_fraction: float, seed: int
) -> list[str]:
    """Return ``train``, ``validation`` or ``test`` for each record.

    Groups go where their labels are missing most (see :func:`share_out`). A group of which a member has a fixed
    split goes there whole (the first such member decides).
    """
    fractions = dict(
        zip(SPLITS, (1 - validation_fraction - test_fraction, validation_fraction, test_fraction), strict=True)
    )
    labels, totals = numbered_labels(records)
    splits = [Part(share, totals, len(records)) for share in fractions.values()]
    by_name = dict(zip(SPLITS, splits, strict=True))
    free = []
    for members in group_clips(records):
        fixed = next((records[position].split for position in members if records[position].split), "")
        if fixed:
            by_name[fixed].take(members, labels)
        else:
            free.append(members)
    share_out(free, [split for split in splits if split.share > 0], labels, totals, seed)
    result = [""] * len(records)
    for name, split in by_name.items():
        for position in split.members:
            result[position] = name
    if free and not by_name["train"].members:
        # Too few groups to share out: nothing can be learnt from validation or test clips.
        for position in max(free, key=len):
            result[position] = "train"
    return result
