"""A file of rows, one JSON object a line: records, splits, rejected rows, downloads, texts, predictions, history."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from features.base.errors import ShardError, SourceError
from features.inspect.result import Found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from features.inspect.result import Look

MAX_ROWS = 5
# The one key of a first line that tells what made the file, and is no row.
MADE_BY = "made_by"
# Which file it is, by fields that no other has; the first that fits.
KINDS = (
    ("record shard", {"clip_id", "video", "title"}),
    ("downloads", {"outcome", "video", "cover"}),
    ("splits", {"clip_id", "split"}),
    ("rejected rows", {"line", "code", "detail"}),
    ("recognised text", {"clip_id", "text", "segments"}),
    ("predictions", {"clip_id", "categories", "tags"}),
    ("training history", {"epoch", "train_loss"}),
)
# Fields with few values, which are counted.
COUNTED = ("status", "code", "split", "category")


def look_at_rows(path: Path, look: Look) -> Found:
    """Return the number of rows, how often each outcome, split or category occurs, and the first rows or one clip's.

    Raises:
        SourceError: It does not hold the clip.
        ShardError: A line is no JSON object.
    """
    count = 0
    counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
    shown: list[dict[str, Any]] = []
    kind = "rows"
    made_by: dict[str, Any] = {}
    for row in _rows(path):
        if count == 0 and list(row) == [MADE_BY]:
            made_by = row
            continue
        if count == 0:
            kind = next((name for name, fields in KINDS if fields <= row.keys()), kind)
        count += 1
        flat = _flat(row)
        for name in COUNTED:
            if flat.get(name):
                counts[name][str(flat[name])] += 1
        wanted = look.clip_id is None or flat.get("clip_id", flat.get("id")) == look.clip_id
        if wanted and len(shown) < MAX_ROWS:
            shown.append(row)
    if look.clip_id is not None and not shown:
        raise SourceError(f"{path} does not hold the clip {look.clip_id!r}")
    values: dict[str, Any] = {"kind": kind, "rows": count, **made_by}
    values |= {f"by_{name}": dict(found.most_common()) for name, found in counts.items() if found}
    if look.clip_id is not None:
        values["clip"] = shown[0]
    else:
        values["first_rows"] = shown
    return Found(values)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with the fields of its outcome among its own."""
    outcome = row.get("outcome")
    return {**row, **outcome} if isinstance(outcome, dict) else row


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ShardError(f"{path} line {number} is no JSON ({error}): delete the file and run again") from error
            if not isinstance(row, dict):
                raise ShardError(f"{path} line {number} is no JSON object: delete the file and run again")
            yield row
