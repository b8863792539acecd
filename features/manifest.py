"""The user's manifest -> records, with every line that is no record accounted for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from features.errors import SettingError, SourceError
from features.fields import RowError, parse_row
from features.records import ClipRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

# A longer line is a broken file rather than a clip: the longest field that anything reads is the text.
MAX_LINE_BYTES = 1 << 20

# Record field -> name of the field in the manifest.
PRESETS: dict[str, dict[str, str]] = {
    "plain": {
        "clip_id": "id",
        "video": "video",
        "cover": "cover",
        "title": "text",
        "asr": "asr",
        "ocr": "ocr",
        "category": "category",
        "tags": "tags",
        "duration_seconds": "duration_seconds",
        "group": "group",
        "split": "split",
    },
    "xinpianchang": {
        "clip_id": "mp4_id",
        "video": "mp4_download_url",
        "cover": "mp4_background_image_url",
        "title": "mp4_txt_brief",
        "category": "video_label",
        "duration_seconds": "mp4_time",
    },
}


@dataclass(frozen=True)
class CorpusConfig:
    """Which corpus a run is about, and how its manifest is to be read.

    Attributes:
        manifest: JSON-lines file, UTF-8, one clip a line; empty = the embedded sample corpus. The paths in
            it start from its own folder.
        preset: Field map to start from, one of ``PRESETS``.
        fields: Changes to it, ``record_field=manifest_field`` separated by commas, such as
            ``title=brief, category=label``.
    """

    manifest: str = ""
    preset: str = "plain"
    fields: str = ""

    def __post_init__(self) -> None:
        self.field_map()

    def field_map(self) -> dict[str, str]:
        """Return record field -> manifest field.

        Raises:
            SettingError: An unknown preset, or a change that names no record field.
        """
        if self.preset not in PRESETS:
            raise SettingError(f"unknown preset {self.preset!r}: expected one of {', '.join(sorted(PRESETS))}")
        result = dict(PRESETS[self.preset])
        known = [item.name for item in fields(ClipRecord)]
        for change in filter(None, (part.strip() for part in self.fields.split(","))):
            name, equals, source = (part.strip() for part in change.partition("="))
            if not equals or name not in known or not source:
                raise SettingError(
                    f"cannot read {change!r} in the setting fields: expected record_field=manifest_field,"
                    f" with record_field one of {', '.join(known)}"
                )
            result[name] = source
        return result


@dataclass(frozen=True)
class ManifestConfig:
    """How records become shards, label space and splits.

    Attributes:
        clips_per_shard: Records in one shard of every later stage.
        min_clips_per_label: A label that fewer clips carry leaves the label space; its clips stay.
        validation_fraction: Share of the clips in the validation split, 0 to 1.
        test_fraction: Share of the clips in the test split, 0 to 1.
        seed: Of the split.
    """

    clips_per_shard: int = 1000
    min_clips_per_label: int = 2
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 7

    def __post_init__(self) -> None:
        for name in ("clips_per_shard", "min_clips_per_label"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}: give 1 or more")
        fractions = (self.validation_fraction, self.test_fraction)
        if not (min(fractions) >= 0 and sum(fractions) < 1):
            raise SettingError(
                f"validation_fraction and test_fraction are {fractions}: give two shares of 0 or more"
                " that leave something for training"
            )


@dataclass(frozen=True)
class Rejection:
    """One line, or one label, that was not taken over.

    Attributes:
        line: Line of the manifest, from 1.
        code: Short reason such as ``invalid_json``.
        detail: One line for a person.
        clip_id: The clip where it is known, else ``""``.
    """

    line: int
    code: str
    detail: str
    clip_id: str = ""


@dataclass
class Reading:
    """A manifest that was read.

    Attributes:
        records: One record an id, in order of first appearance.
        lines: For each record the line where its id stood first.
        rejections: Lines that gave no record.
        num_rows: Lines that are not blank; every one is a record, merged into one, or rejected.
        num_merged: Rows that went into the record of an earlier row.
    """

    records: list[ClipRecord] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    num_rows: int = 0
    num_merged: int = 0


def read_manifest(path: Path, field_map: Mapping[str, str]) -> Reading:
    """Return the records of a JSON-lines file in UTF-8.

    Rows with the same id and the same video are one clip: the first row's values stand, a missing one is
    filled from later rows, and tags are united. Where the manifest has no field for tags, the tags are the
    categories of all rows of the clip.

    Raises:
        SourceError: The file cannot be read, or no line of it is a record.
    """
    reading = Reading()
    positions: dict[str, int] = {}
    try:
        with path.open("rb") as stream:
            for number, row in _rows(stream, reading):
                _take(number, row, field_map, reading, positions)
    except OSError as error:
        raise SourceError(f"cannot read the manifest {path}: {error.strerror}; set [corpus] manifest") from error
    if not reading.records:
        first = reading.rejections[0] if reading.rejections else None
        reason = f"line {first.line}: {first.code}: {first.detail}" if first else "it is empty"
        raise SourceError(f"no clip in the manifest {path}: {reason}; see the settings preset and fields")
    return reading


def _rows(stream: Iterable[bytes], reading: Reading) -> Iterator[tuple[int, dict[str, object]]]:
    for number, raw in enumerate(stream, 1):
        if not raw.strip():
            continue
        reading.num_rows += 1
        try:
            yield number, _object(raw)
        except RowError as error:
            reading.rejections.append(Rejection(number, error.code, str(error)))


def _object(raw: bytes) -> dict[str, object]:
    if len(raw) > MAX_LINE_BYTES:
        raise RowError("line_too_long", f"{len(raw):,} bytes; a line holds at most {MAX_LINE_BYTES:,}")
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RowError("not_utf8", f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise RowError("invalid_json", "nested too deeply") from error
    except ValueError as error:
        # No JSON, or a number of so many digits that Python reads none of them.
        raise RowError("invalid_json", str(error)) from error
    if not isinstance(value, dict):
        raise RowError("not_an_object", f"a line is one JSON object, this is a {type(value).__name__}")
    return value


def _take(
    number: int,
    row: Mapping[str, object],
    field_map: Mapping[str, str],
    reading: Reading,
    positions: dict[str, int],
) -> None:
    try:
        record = parse_row(row, field_map)
    except RowError as error:
        reading.rejections.append(Rejection(number, error.code, str(error), error.clip_id))
        return
    if "tags" not in field_map and record.category is not None:
        record = replace(record, tags=(record.category,))
    position = positions.get(record.clip_id)
    if position is None:
        positions[record.clip_id] = len(reading.records)
        reading.records.append(record)
        reading.lines.append(number)
        return
    earlier = reading.records[position]
    if record.video and earlier.video and record.video != earlier.video:
        detail = f"line {reading.lines[position]} gives this id another video; that one stands"
        reading.rejections.append(Rejection(number, "conflicting_video", detail, record.clip_id))
        return
    if "tags" in field_map and record.category and earlier.category not in {None, record.category}:
        detail = f"line {reading.lines[position]} says {earlier.category!r}; {record.category!r} is left out"
        reading.rejections.append(Rejection(number, "conflicting_category", detail, record.clip_id))
    reading.records[position] = _merged(earlier, record)
    reading.num_merged += 1


def _merged(first: ClipRecord, later: ClipRecord) -> ClipRecord:
    tags = first.tags if later.tags is None else tuple(dict.fromkeys((first.tags or ()) + later.tags))
    duration = later.duration_seconds if first.duration_seconds is None else first.duration_seconds
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
    )
