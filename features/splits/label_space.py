"""The label space of a corpus: which categories and tags a model can be asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.formats.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from features.formats.records import ClipRecord


@dataclass(frozen=True)
class LabelSpace:
    """Names of the categories and tags, each sorted; the position is the label's number."""

    categories: tuple[str, ...]
    tags: tuple[str, ...]

    def to_json(self) -> dict[str, list[str]]:
        """Return the names as plain JSON values."""
        return {"categories": list(self.categories), "tags": list(self.tags)}

    @classmethod
    def from_json(cls, value: Mapping[str, Sequence[str]]) -> LabelSpace:
        """Return the label space that :meth:`to_json` gave."""
        return cls(tuple(value["categories"]), tuple(value["tags"]))


def build_label_space(
    records: Iterable[ClipRecord], lines: Iterable[int], min_clips: int
) -> tuple[LabelSpace, list[Rejection]]:
    """Return the labels that at least ``min_clips`` clips carry, and a row for every other one.

    A clip whose category is left out stays in the corpus with an unknown category; a tag that is left out
    is dropped from its clips. The row names the line where the label stood first.
    """
    categories: Counter[str] = Counter()
    tags: Counter[str] = Counter()
    first_seen: dict[tuple[str, str], tuple[int, str]] = {}
    for record, line in zip(records, lines, strict=True):
        if record.category is not None:
            categories[record.category] += 1
            first_seen.setdefault(("category", record.category), (line, record.clip_id))
        for tag in record.tags or ():
            tags[tag] += 1
            first_seen.setdefault(("tag", tag), (line, record.clip_id))
    rejections = []
    for kind, counts in (("category", categories), ("tag", tags)):
        for name in sorted(name for name, count in counts.items() if count < min_clips):
            line, clip_id = first_seen[kind, name]
            detail = (
                f"{kind} {name!r} occurs on {counts[name]} clip(s), fewer than min_clips_per_label ="
                f" {min_clips}: the label is left out, its clips stay"
            )
            rejections.append(Rejection(line, f"rare_{kind}", detail, clip_id))
    kept = [tuple(sorted(n for n, count in c.items() if count >= min_clips)) for c in (categories, tags)]
    return LabelSpace(*kept), rejections
