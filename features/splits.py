"""Which clips train, validate and test: stratified by label, and never cutting through a group."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from features.fields import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from features.records import ClipRecord


def normalised_title(title: str) -> str:
    """Return a title as it is compared: NFKC, case-folded, runs of spaces made one; ``""`` for none."""
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())


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

    first_with: dict[tuple[str, str], int] = {}
    for position, record in enumerate(records):
        for key in (("group", record.group), ("title", normalised_title(record.title))):
            if key[1]:
                other = root(first_with.setdefault(key, position))
                own = root(position)
                parents[max(own, other)] = min(own, other)
    groups: dict[int, list[int]] = defaultdict(list)
    for position in range(len(records)):
        groups[root(position)].append(position)
    return list(groups.values())


def assign_splits(
    records: Sequence[ClipRecord], *, validation_fraction: float, test_fraction: float, seed: int
) -> list[str]:
    """Return ``train``, ``validation`` or ``test`` for each record.

    Groups are taken in an order of rising frequency of their rarest label (larger ones first among equals,
    then shuffled by ``seed``) and go where their labels are missing most, after the iterative stratification
    of Sechidis, Tsoumakas and Vlahavas 2011 (ECML PKDD), section 4, applied to groups. A group of which a
    member has a fixed split goes there whole (the first such member decides).
    """
    fractions = dict(
        zip(SPLITS, (1 - validation_fraction - test_fraction, validation_fraction, test_fraction), strict=True)
    )
    labels = [_labels(record) for record in records]
    totals = Counter(label for row in labels for label in row)
    want = {name: {label: share * count for label, count in totals.items()} for name, share in fractions.items()}
    room = {name: share * len(records) for name, share in fractions.items()}
    result = [""] * len(records)

    def give(members: list[int], name: str) -> None:
        room[name] -= len(members)
        for position in members:
            result[position] = name
            for label in labels[position]:
                want[name][label] -= 1

    groups = group_clips(records)
    free = []
    for members in groups:
        fixed = next((records[position].split for position in members if records[position].split), "")
        if fixed:
            give(members, fixed)
        else:
            free.append(members)
    random.Random(seed).shuffle(free)  # noqa: S311 - a split is no secret
    free.sort(key=lambda members: (_rarest(members, labels, totals), -len(members)))
    open_splits = [name for name in SPLITS if fractions[name] > 0]
    for members in free:
        counts = Counter(label for position in members for label in labels[position])
        give(members, _neediest(counts, totals, want, room, open_splits, fractions))
    if free and "train" not in result:
        # Too few groups to share out: nothing can be learnt from validation or test clips.
        for position in max(free, key=len):
            result[position] = "train"
    return result


def _labels(record: ClipRecord) -> list[str]:
    result = [f"tag:{tag}" for tag in record.tags or ()]
    if record.category is not None:
        result.append(f"category:{record.category}")
    return result


def _rarest(members: Iterable[int], labels: Sequence[Sequence[str]], totals: Counter[str]) -> int:
    return min((totals[label] for position in members for label in labels[position]), default=len(labels))


def _neediest(
    counts: Counter[str],
    totals: Counter[str],
    want: dict[str, dict[str, float]],
    room: dict[str, float],
    open_splits: Sequence[str],
    fractions: dict[str, float],
) -> str:
    """Return the split that lacks most of these labels, as a share of what it should hold of each."""

    def need(name: str) -> tuple[float, float]:
        share = fractions[name]
        by_label = sum(number * want[name][label] / (share * totals[label]) for label, number in counts.items())
        return (by_label / max(1, counts.total()), room[name] / share)

    return max(open_splits, key=need)
