"""Stratified splits and folds: each part gets its fraction of every label, and no group of clips is cut."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from features.base.errors import SettingError
from features.formats.records import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.records import ClipRecord

# The fold of a clip of the test split.
NO_FOLD = -1


class Part:
    """One part of the corpus while clips are assigned to it.

    Attributes:
        fraction: Fraction of all clips, 0 to 1.
        members: Positions of its clips.
    """

    def __init__(self, fraction: float, totals: Sequence[int], num_records: int) -> None:
        self.fraction = fraction
        self.members: list[int] = []
        self._due = [fraction * count for count in totals]
        self._missing = self._due.copy()
        self._room = fraction * num_records

    def take(self, members: Sequence[int], labels: Sequence[Sequence[int]]) -> None:
        """Add the clips at ``members`` and update what is missing."""
        self._room -= len(members)
        self.members.extend(members)
        for position in members:
            for label in labels[position]:
                self._missing[label] -= 1

    def need(self, counts: Counter[int]) -> tuple[float, float]:
        """Return the missing part of these labels as a fraction of the quota of each, and the same of clips."""
        by_label = 0.0
        num_labels = 0
        for label, number in counts.items():
            by_label += number * self._missing[label] / self._due[label]
            num_labels += number
        return (by_label / max(1, num_labels), self._room / self.fraction)


def assign_groups(
    groups: list[list[int]], parts: Sequence[Part], labels: Sequence[Sequence[int]], totals: Sequence[int], seed: int
) -> None:
    """Assign each group to the part that lacks its labels most. Reorders ``groups`` in place.

    Groups are taken in an order of rising frequency of their rarest label (larger ones first among equals,
    then shuffled by ``seed``), after the iterative stratification of Sechidis, Tsoumakas and Vlahavas 2011
    (ECML PKDD), section 4, applied to groups.

    Args:
        groups: Positions of the clips of each group.
        parts: The parts to fill; each has a fraction above 0.
        labels: Numbers of the labels of each clip.
        totals: Clips with each label.
        seed: Seed of the order among equals.
    """
    random.Random(seed).shuffle(groups)  # noqa: S311 - a split is no secret
    groups.sort(key=lambda members: (_rarest(members, labels, totals), -len(members)))
    for members in groups:
        counts = Counter([label for position in members for label in labels[position]])
        max(parts, key=lambda part: part.need(counts)).take(members, labels)


def numbered_labels(records: Sequence[ClipRecord]) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return the numbers of each record's labels, and how many records carry each label."""
    numbers: dict[tuple[str, str], int] = {}
    totals: list[int] = []
    known: dict[tuple[tuple[str, ...] | None, str | None], tuple[int, ...]] = {}
    result = []
    for record in records:
        key = (record.tags, record.category)
        if key not in known:
            names = [("tag", tag) for tag in record.tags or ()]
            names += [("category", record.category)] if record.category is not None else []
            known[key] = tuple(numbers.setdefault(name, len(numbers)) for name in names)
            totals += [0] * (len(numbers) - len(totals))
        for label in known[key]:
            totals[label] += 1
        result.append(known[key])
    return result, totals


def _rarest(members: Sequence[int], labels: Sequence[Sequence[int]], totals: Sequence[int]) -> int:
    return min([totals[label] for position in members for label in labels[position]], default=len(labels))


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

    Each group is assigned to the split that lacks its labels most (see :func:`assign_groups`). A group with a member
    of a fixed split is assigned to it whole; the first such member decides.
    """
    fractions = dict(
        zip(SPLITS, (1 - validation_fraction - test_fraction, validation_fraction, test_fraction), strict=True)
    )
    labels, totals = numbered_labels(records)
    splits = [Part(fraction, totals, len(records)) for fraction in fractions.values()]
    by_name = dict(zip(SPLITS, splits, strict=True))
    free = []
    for members in group_clips(records):
        fixed = next((records[position].split for position in members if records[position].split), "")
        if fixed:
            by_name[fixed].take(members, labels)
        else:
            free.append(members)
    assign_groups(free, [split for split in splits if split.fraction > 0], labels, totals, seed)
    result = [""] * len(records)
    for name, split in by_name.items():
        for position in split.members:
            result[position] = name
    if free and not by_name["train"].members:
        # Too few groups for all splits: without training clips nothing can be learnt.
        for position in max(free, key=len):
            result[position] = "train"
    return result


def assign_folds(records: Sequence[ClipRecord], splits: Sequence[str], *, num_folds: int, seed: int) -> list[int]:
    """Return for each record its fold, 0 to ``num_folds`` - 1, or ``NO_FOLD`` for a clip of the test split.

    Groups are those of the splits; each is assigned whole to the fold that lacks its labels most (see
    :func:`assign_groups`). No fold is empty.

    Args:
        records: The clips.
        splits: Their splits, in the same order.
        num_folds: At least 2.
        seed: Seed of the order among equal groups.

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
    # An empty fold lacks all of every label, the largest possible need: each of the first groups is assigned to one.
    assign_groups(groups, folds, labels, totals, seed)
    result = [NO_FOLD] * len(records)
    for number, fold in enumerate(folds):
        for member in fold.members:
            result[positions[member]] = number
    return result
