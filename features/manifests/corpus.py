"""The normalised corpus on disk: record shards, label space, splits and rejected rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from features.base.files import publish_json, published
from features.formats.records import ClipRecord
from features.manifests.reading import read_manifest
from features.splits.label_space import LabelSpace, build_label_space
from features.splits.stratified_split import assign_splits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from features.manifests.config import CorpusConfig, ManifestConfig

LABELS_NAME = "labels.json"
SPLITS_NAME = "splits.jsonl"
REJECTED_NAME = "rejected.jsonl"
SHARD_NAME = "shard-{:05d}"
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True)
class CorpusSummary:
    """The counts of a manifest's rows.

    Attributes:
        num_rows: Lines that are not blank.
        num_clips: Records.
        num_merged: Rows merged into the record of an earlier row.
        rejected: Rows and labels left out, by code.
        clips_per_split: Records by split.
        files: Every file written, with the number of its rows.
    """

    num_rows: int
    num_clips: int
    num_merged: int
    rejected: dict[str, int]
    clips_per_split: dict[str, int]
    files: dict[str, int]


def build_corpus(manifest: Path, corpus: CorpusConfig, config: ManifestConfig, folder: Path) -> CorpusSummary:
    """Read a manifest and publish the normalised corpus into ``folder``.

    Record shards keep the order of the manifest and contain nothing that depends on the rest of the corpus, so
    an appended manifest gives the same shards and more. Splits and label space are files of their own.

    Raises:
        SourceError: The manifest cannot be read, or no line of it is a record.
    """
    reading = read_manifest(manifest, corpus)
    labels, rare = build_label_space(reading.records, reading.lines, config.min_clips_per_label)
    splits = assign_splits(
        reading.records,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    files: dict[str, int] = {}
    for start in range(0, len(reading.records), config.clips_per_shard):
        records = reading.records[start : start + config.clips_per_shard]
        name = SHARD_NAME.format(len(files)) + ".jsonl"
        files[name] = _write_lines(folder / name, (record.to_line() for record in records))
    publish_json(folder / LABELS_NAME, labels.to_json())
    files[LABELS_NAME] = len(labels.categories) + len(labels.tags)
    rejections = sorted([*reading.rejections, *rare], key=lambda row: row.line)
    files[REJECTED_NAME] = _write_lines(folder / REJECTED_NAME, (_line(asdict(row)) for row in rejections))
    rows = zip(reading.records, splits, strict=True)
    split_lines = (_line({"clip_id": record.clip_id, "split": split}) for record, split in rows)
    files[SPLITS_NAME] = _write_lines(folder / SPLITS_NAME, split_lines)
    return CorpusSummary(
        num_rows=reading.num_rows,
        num_clips=len(reading.records),
        num_merged=reading.num_merged,
        rejected=dict(Counter(row.code for row in rejections)),
        clips_per_split=dict(Counter(splits)),
        files=files,
    )


def read_records(path: Path) -> list[ClipRecord]:
    """Return the records of one record shard."""
    with path.open(encoding="utf-8") as stream:
        return [ClipRecord.from_line(line) for line in stream]


def read_labels(folder: Path) -> LabelSpace:
    """Return the label space of the corpus in ``folder``."""
    return LabelSpace.from_json(json.loads((folder / LABELS_NAME).read_text(encoding="utf-8")))


def read_splits(folder: Path) -> dict[str, str]:
    """Return clip id -> split of the corpus in ``folder``."""
    with (folder / SPLITS_NAME).open(encoding="utf-8") as stream:
        rows: Iterator[dict[str, str]] = (json.loads(line) for line in stream)
        return {row["clip_id"]: row["split"] for row in rows}


def _line(row: object) -> str:
    return _ENCODER.encode(row) + "\n"


def _write_lines(path: Path, lines: Iterable[str]) -> int:
    count = 0
    with published(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for line in lines:
            stream.write(line)
            count += 1
    return count
