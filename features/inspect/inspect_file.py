"""Inspects a published file by its suffix: a shard elsewhere, a file of rows here."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from features.base.errors import ShardError, SourceError
from features.formats.records import MADE_BY
from features.inspect.result import InspectResult

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from features.inspect.result import InspectQuery

KINDS = ".h5 (embedding and prediction shards), .tar (decoded shards) and .jsonl (records, downloads, texts, ...)"
MAX_ROWS = 5
# The kind of a file, by fields of its first row; the first match counts.
ROW_KINDS = (
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


def inspect_path(path: Path, query: InspectQuery) -> InspectResult:
    """Return the content of a published file, and one of its clips.

    Raises:
        SourceError: It is not a file of a run, or has no such clip.
        ShardError: It is damaged.
    """
    if path.suffix == ".h5":
        return _inspect_hdf5(path, query)
    if path.suffix == ".tar":
        from features.inspect.inspect_decoded import inspect_decoded  # noqa: PLC0415 - loads the codec libraries

        return inspect_decoded(path, query)
    if path.suffix == ".jsonl":
        return _inspect_rows(path, query)
    raise SourceError(f"{path} is not a shard: inspect reads {KINDS}")


def _inspect_hdf5(path: Path, query: InspectQuery) -> InspectResult:
    from features.formats.hdf5_shard import ShardReader  # noqa: PLC0415 - loads HDF5
    from features.inspect.inspect_hdf5 import inspect_embeddings, inspect_predictions  # noqa: PLC0415 - loads HDF5

    reader = ShardReader(path)
    try:
        kind = inspect_embeddings if "modality" in reader.attributes else inspect_predictions
        return kind(reader, query)
    finally:
        reader.close()


def _inspect_rows(path: Path, query: InspectQuery) -> InspectResult:
    """Return the number of rows, the counts of outcomes, splits and categories, and the first rows or one clip.

    Raises:
        SourceError: It has no such clip.
        ShardError: A line is not a JSON object.
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
            kind = next((name for name, fields in ROW_KINDS if fields <= row.keys()), kind)
        count += 1
        flat = _flat(row)
        for name in COUNTED:
            if flat.get(name):
                counts[name][str(flat[name])] += 1
        wanted = query.clip_id is None or flat.get("clip_id", flat.get("id")) == query.clip_id
        if wanted and len(shown) < MAX_ROWS:
            shown.append(row)
    if query.clip_id is not None and not shown:
        raise SourceError(f"{path} has no clip {query.clip_id!r}")
    values: dict[str, Any] = {"kind": kind, "rows": count, **made_by}
    values |= {f"by_{name}": dict(found.most_common()) for name, found in counts.items() if found}
    if query.clip_id is not None:
        values["clip"] = shown[0]
    else:
        values["first_rows"] = shown
    return InspectResult(values)


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
                raise ShardError(
                    f"{path} line {number} is not JSON ({error}): delete the file and run again"
                ) from error
            if not isinstance(row, dict):
                raise ShardError(f"{path} line {number} is not a JSON object: delete the file and run again")
            yield row
