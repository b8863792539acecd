"""Groups of clips shared out among parts of a corpus, so that each part has its share of every label."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.records import ClipRecord


class Part:
    """One part of the corpus while it is being filled.

    Attributes:
        share: Of all clips, 0 to 1.
        members: Positions of its clips.
    """

    def __init__(self, share: float, totals: Sequence[int], num_records: int) -> None:
        self.share = share
        self.members: list[int] = []
        self._due = [share * count for count in totals]
        self._missing = self._due.copy()
        self._room = share * num_records

    def take(self, members: Sequence[int], labels: Sequence[Sequence[int]]) -> None:
        """Count in the clips at ``members``."""
        self._room -= len(members)
        self.members.extend(members)
        for position in members:
            for label in labels[position]:
                self._missing[label] -= 1

    def need(self, counts: Counter[int]) -> tuple[float, float]:
        """Return how much of these labels is missing, as a share of what is due of each; then of clips."""
        by_label = 0.0
        num_labels = 0
        for label, number in counts.items():
            by_label += number * self._missing[label] / self._due[label]
            num_labels += number
        return (by_label / max(1, num_labels), self._room / self.share)


def share_out(
    groups: list[list[int]], parts: Sequence[Part], labels: Sequence[Sequence[int]], totals: Sequence[int], seed: int
) -> None:
    """Give every group to the part where its labels are missing most; ``groups`` comes out in the order of giving.

    Groups are taken in an order of rising frequency of their rarest label (larger ones first among equals,
    then shuffled by ``seed``), after the iterative stratification of Sechidis, Tsoumakas and Vlahavas 2011
    (ECML PKDD), section 4, applied to groups.

    Args:
        groups: Positions of the clips of each group.
        parts: What is filled; each has a share above 0.
        labels: Numbers of the labels of each clip.
        totals: How many clips carry each label.
        seed: Of the order among equals.
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
