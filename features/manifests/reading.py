"""Reads the user's manifest into records; every row that is no record becomes a rejection."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.base.errors import SourceError
from features.formats.records import KEPT_ROW_CODES, ClipRecord, Rejection, RowError
from features.manifests.categories import category_name
from features.manifests.clip_folders import read_folder
from features.manifests.compressed import open_text
from features.manifests.config import FOLDER_PRESET
from features.manifests.fields import parse_row
from features.manifests.rows import read_csv, read_json_lines
from features.manifests.source import check_manifest, format_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from features.manifests.config import CorpusConfig


@dataclass
class Reading:
    """The content of a manifest.

    Attributes:
        records: One record an id, in order of first appearance.
        lines: For each record the line where its id stood first.
        rejections: Rows that gave no record, and parts of rows that were left out.
        num_rows: Rows that are not blank; every one is a record, merged into one, or rejected.
        num_merged: Rows that went into the record of an earlier row.
    """

    records: list[ClipRecord] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    num_rows: int = 0
    num_merged: int = 0


def read_manifest(path: Path, config: CorpusConfig) -> Reading:
    """Return the records of a manifest; the file is read once, a line at a time.

    Rows with the same id and the same video are one clip: the first row's values are kept, a missing one is
    filled from later rows, and tags are united. Where the manifest has no field for tags, the tags are the
    categories of all rows of the clip. In the folder layout the id alone decides, as a clip of several
    categories has a file in each of them.

    Raises:
        SourceError: The manifest cannot be read, is damaged or too large, or no row of it is a record.
    """
    check_manifest(path, config)
    merger = _Merger(config)
    try:
        for line, row in _rows(path, config):
            merger.take(line, row)
    except OSError as error:
        raise SourceError(f"cannot read the manifest {path}: {error.strerror}; set [corpus] manifest") from error
    reading = merger.reading
    if not reading.records:
        first = reading.rejections[0] if reading.rejections else None
        reason = f"line {first.line}: {first.code}: {first.detail}" if first else "it is empty"
        raise SourceError(f"no clip in the manifest {path}: {reason}; see the settings preset and fields")
    return reading


def _rows(path: Path, config: CorpusConfig) -> Iterator[tuple[int, dict[str, object] | RowError]]:
    form = format_of(path, config)
    if form.kind == "folder":
        yield from read_folder(path)
        return
    with open_text(path, form.compression, config.max_manifest_bytes) as stream:
        yield from read_json_lines(stream) if form.kind == "jsonl" else read_csv(stream, form.kind, config)


class _Merger:
    """Collects rows into a :class:`Reading`."""

    def __init__(self, config: CorpusConfig) -> None:
        self.reading = Reading()
        self._field_map = config.field_map()
        self._id_decides = config.preset == FOLDER_PRESET
        self._positions: dict[str, int] = {}
        language = config.language()
        self._category_name = functools.partial(category_name, language=language) if language else str

    def take(self, line: int, row: dict[str, object] | RowError) -> None:
        """Turn a row into a record, merge it into an earlier one, or add a rejection."""
        reading = self.reading
        if isinstance(row, RowError):
            reading.num_rows += row.code not in KEPT_ROW_CODES
            reading.rejections.append(Rejection.of(line, row))
            return
        reading.num_rows += 1
        try:
            record = parse_row(row, self._field_map, self._category_name)
            position = self._positions.setdefault(record.clip_id, len(reading.records))
            if position == len(reading.records):
                reading.records.append(record)
                reading.lines.append(line)
            else:
                self._merge(position, record, line)
        except RowError as error:
            reading.rejections.append(Rejection.of(line, error))

    def _merge(self, position: int, record: ClipRecord, line: int) -> None:
        reading = self.reading
        first, first_line = reading.records[position], reading.lines[position]
        if not self._id_decides and record.video and first.video and record.video != first.video:
            detail = f"line {first_line} gives this id another video; that one stands"
            raise RowError("conflicting_video", detail, record.clip_id)
        if "tags" in self._field_map and record.category and first.category not in {None, record.category}:
            detail = f"line {first_line} says {first.category!r}; {record.category!r} is left out"
            reading.rejections.append(Rejection(line, "conflicting_category", detail, record.clip_id))
        reading.records[position] = _merged(first, record)
        reading.num_merged += 1


def _merged(first: ClipRecord, later: ClipRecord) -> ClipRecord:
    tags = first.tags if later.tags is None else tuple(dict.fromkeys((first.tags or ()) + later.tags))
    duration = later.duration_seconds if first.duration_seconds is None else first.duration_seconds
    # A checksum belongs to the file of its own row.
    same_video = later.video in {first.video, ""} or not first.video
    same_cover = later.cover in {first.cover, ""} or not first.cover
    return ClipRecord(
        clip_id=first.clip_id,
        video=first.video or later.video,
        cover=first.cover or later.cover,
        title=first.title or later.title,
        asr=first.asr or later.asr,
        ocr=first.ocr or later.ocr,
        category=first.category or later.category,
        tags=tags,
        duration_seconds=duration,
        group=first.group or later.group,
        split=first.split or later.split,
        video_checksum=first.video_checksum or (later.video_checksum if same_video else ""),
        cover_checksum=first.cover_checksum or (later.cover_checksum if same_cover else ""),
    )
