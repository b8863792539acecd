"""One row of a manifest -> one record: the type rule of every field."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from features.records import ClipRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID_CHARACTERS = 512
# A year; whole numbers that no float can hold lie far above.
MAX_DURATION_SECONDS = 366 * 24 * 3600
SPLITS = ("train", "validation", "test")
# Spellings in use for the same three.
SPLIT_NAMES = {"train": "train", "training": "train", "validation": "validation", "val": "validation",
               "valid": "validation", "dev": "validation", "test": "test"}  # fmt: skip
CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,3}):(\d{2}(?:\.\d{1,9})?)", re.ASCII)
# Control characters, and halves of surrogate pairs, which no UTF-8 file can hold.
UNWRITABLE = frozenset({"Cc", "Cs"})
# The same, and invisible marks such as right-to-left overrides.
INVISIBLE = UNWRITABLE | {"Cf"}


class RowError(ValueError):
    """A row that is no record: a code to count and a line for a person."""

    def __init__(self, code: str, detail: str, clip_id: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.clip_id = clip_id


def parse_row(row: Mapping[str, object], field_map: Mapping[str, str]) -> ClipRecord:
    """Return the record of one manifest row.

    A field that is absent, null or blank is missing. Text keeps its script and is only stripped; control
    characters in it become spaces.

    Args:
        row: The row as parsed from JSON.
        field_map: Record field -> name in the row.

    Raises:
        RowError: ``missing_id``, ``bad_id``, ``wrong_type`` or ``bad_value``, naming the field.
    """
    clip_id = _clip_id(row.get(field_map["clip_id"]), field_map["clip_id"])
    values = {name: row.get(source) for name, source in field_map.items()}
    try:
        texts = {name: _text(values.get(name), field_map.get(name, name)) for name in _TEXT_FIELDS}
        return ClipRecord(
            clip_id=clip_id,
            category=_text(values.get("category"), field_map.get("category", "")) or None,
            tags=_tags(values.get("tags"), field_map.get("tags", "")),
            duration_seconds=_seconds(values.get("duration_seconds"), field_map.get("duration_seconds", "")),
            split=_split(values.get("split"), field_map.get("split", "")),
            **texts,
        )
    except RowError as error:
        error.clip_id = clip_id
        raise


_TEXT_FIELDS = ("video", "cover", "title", "asr", "ocr", "group")


def _clip_id(value: object, name: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RowError("missing_id", f"the field {name!r} is not there or blank: every clip needs an id")
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}: an id is a text or a whole number")
    clip_id = value.strip()
    if len(clip_id) > MAX_ID_CHARACTERS:
        raise RowError("bad_id", f"{name} has {len(clip_id)} characters: an id has at most {MAX_ID_CHARACTERS}")
    if any(unicodedata.category(character) in INVISIBLE for character in clip_id):
        raise RowError("bad_id", f"{name} is {clip_id[:40]!r}: an id holds visible characters only")
    return clip_id


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}, expected a text")
    if not value.isprintable():
        value = "".join(c if unicodedata.category(c) not in UNWRITABLE else " " for c in value)
    return value.strip()


def _tags(value: object, name: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}, expected a list of texts")
    tags = (_text(tag, f"{name}[{position}]") for position, tag in enumerate(value))
    return tuple(dict.fromkeys(filter(None, tags)))


def _seconds(value: object, name: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        match = CLOCK.fullmatch(value.strip())
        if match is None:
            raise RowError("bad_value", f"{name} is {value[:40]!r}: as a text, a duration is mm:ss or h:mm:ss")
        hours, minutes, seconds = match.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}, expected seconds or h:mm:ss")
    if not 0 <= value <= MAX_DURATION_SECONDS:
        raise RowError("bad_value", f"{name} is {str(value)[:40]}: a duration is 0 to {MAX_DURATION_SECONDS:,} seconds")
    return float(value)


def _split(value: object, name: str) -> str:
    text = _text(value, name).lower()
    if text and text not in SPLIT_NAMES:
        raise RowError("bad_value", f"{name} is {text[:40]!r}: a split is one of {', '.join(SPLITS)}")
    return SPLIT_NAMES.get(text, "")
