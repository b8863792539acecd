"""The records and the decoded shard that a published shard was made from, found through its params.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.manifests.corpus import read_records
from tasks.core.stage import PARAMS_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from features.formats.records import ClipRecord


@dataclass(frozen=True)
class Lineage:
    """Files that belong to the same clips as a shard.

    Attributes:
        records_file: Their record shard, ``None`` where it cannot be found.
        records: Their records by id, none without the file.
        decoded: Their decoded shard, ``None`` where it cannot be found.
    """

    records_file: Path | None = None
    records: Mapping[str, ClipRecord] = field(default_factory=dict)
    decoded: Path | None = None


def find_lineage(shard: Path) -> Lineage:
    """Return what the inputs of a shard's stage lead to; nothing for a file outside a root.

    Frames of a stage that does not read decoded shards (text) are taken from the newest decoded ones.
    """
    folder = shard.resolve().parent
    root = folder.parent.parent
    stem = shard.name.partition(".")[0]
    decoded = _upstream(folder, "decode") or (root / "decode" / "latest").resolve()
    manifest = _upstream(folder, "manifest")
    tar = decoded / f"{stem}.tar"
    known = None if manifest is None else manifest / f"{stem}.jsonl"
    if known is None or not known.is_file():
        return Lineage(decoded=tar if tar.is_file() else None)
    try:
        records = {record.clip_id: record for record in read_records(known)}
    except (OSError, ValueError, KeyError, TypeError):
        # Damaged: `verify` reports it; the shard can be inspected all the same.
        return Lineage(decoded=tar if tar.is_file() else None)
    return Lineage(known, records, tar if tar.is_file() else None)


def _upstream(folder: Path, stage: str) -> Path | None:
    """Return the folder of a stage that the one in ``folder`` was made from, directly or not."""
    root = folder.parent.parent
    seen = {folder}
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        if place.parent.name == stage:
            return place
        for name, fingerprint in _inputs(place / PARAMS_NAME).items():
            above = root / name / fingerprint
            if above not in seen:
                seen.add(above)
                waiting.append(above)
    return None


def _inputs(params: Path) -> dict[str, str]:
    try:
        inputs = json.loads(params.read_text(encoding="utf-8"))["inputs"]
        return {str(name): str(fingerprint) for name, fingerprint in inputs.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
