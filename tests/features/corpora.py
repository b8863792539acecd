"""Corpora on disk as the Manifest stage publishes them, written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from features.manifests.corpus import SPLITS_NAME
from features.statistics.columns import read_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from features.formats.records import ClipRecord
    from features.statistics.columns import Columns


def published_columns(
    folder: Path, records: Sequence[ClipRecord], splits: Sequence[str], per_shard: int = 2
) -> Columns:
    """Return the columns of records that were written to shards of ``per_shard``."""
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for start in range(0, len(records), per_shard):
        name = f"shard-{len(names):05d}.jsonl"
        lines = "".join(record.to_line() for record in records[start : start + per_shard])
        (folder / name).write_text(lines, encoding="utf-8")
        names.append(name)
    rows = [json.dumps({"clip_id": r.clip_id, "split": s}) + "\n" for r, s in zip(records, splits, strict=True)]
    (folder / SPLITS_NAME).write_text("".join(rows), encoding="utf-8")
    return read_columns(folder, names)
