"""One row of a manifest -> one record: the type rule of every field."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from features.formats.records import SPLITS, ClipRecord, RowError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_ID_CHARACTERS = 512
# A year; whole numbers that no float can represent are far above.
MAX_DURATION_SECONDS = 366 * 24 * 3600
# Spellings in use for the same three.
SPLIT_NAMES = {"train": "train", "training": "train", "validation": "validation", "val": "validation",
               "valid": "validation", "dev": "validation", "test": "test"}  # fmt: skip
CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,3}):(\d{2}(?:\.\d{1,9})?)", re.ASCII)
# Hexadecimal digits of a digest -> its algorithm.
CHECKSUM_DIGITS = {64: "sha256", 32: "md5"}
CHECKSUM = re.compile(r"(?:(sha256|md5):)?([0-9a-f]+)", re.ASCII)
# Control characters, and halves of surrogate pairs, which no UTF-8 file can contain.
UNWRITABLE = frozenset({"Cc", "Cs"})
# The same, and invisible marks such as right-to-left overrides.
INVISIBLE = UNWRITABLE | {"Cf"}


def parse_row(
    row: Mapping[str, object], field_map: Mapping[str, str], category_name: Callable[[str], str] = str
) -> ClipRecord:
    """Return the record of one manifest row.

    A field that is absent, null or blank is missing. Text keeps its script and is only stripped; control
    characters in it become spaces. Where the field map names no tags, the category is the one tag.

    Args:
        row: The row as parsed from JSON.
        field_map: Record field -> name in the row.
        category_name: Spelling of a category -> name of it.

    Raises:
        RowError: ``missing_id``, ``bad_id``, ``wrong_type`` or ``bad_value``, naming the field.
    """
    clip_id = _clip_id(row.get(field_map["clip_id"]), field_map["clip_id"])
    # Any: each parser gives the type of its own field.
    values: dict[str, Any] = {}
    try:
        for field, name in field_map.items():
            value = row.get(name)
            if value is not None and field != "clip_id":
                values[field] = _PARSERS[field](value, name)
    except RowError as error:
        error.clip_id = clip_id
        raise
    if values.get("category"):
        values["category"] = category_name(values["category"])
        if "tags" not in field_map:
            values["tags"] = (values["category"],)
    return ClipRecord(clip_id, **values)


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
    # Every invisible character is unprintable, and few ids contain one of those.
    if not clip_id.isprintable() and any(unicodedata.category(character) in INVISIBLE for character in clip_id):
        raise RowError("bad_id", f"{name} is {clip_id[:40]!r}: an id holds visible characters only")
    return clip_id


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}, expected a text")
    if not value.isprintable():
        value = "".join(c if unicodedata.category(c) not in UNWRITABLE else " " for c in value)
    return value.strip()


def _category(value: object, name: str) -> str | None:
    return _text(value, name) or None


def _tags(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}, expected a list of texts")
    tags = (_text(tag, f"{name}[{position}]") for position, tag in enumerate(value) if tag is not None)
    return tuple(dict.fromkeys(filter(None, tags)))


def _seconds(value: object, name: str) -> float | None:
    if isinstance(value, str):
        if not value.strip():
            return None
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


def _checksum(value: object, name: str) -> str:
    """Return ``sha256:<hex>`` or ``md5:<hex>`` in small letters, ``""`` for none."""
    text = _text(value, name).lower()
    if not text:
        return ""
    match = CHECKSUM.fullmatch(text)
    algorithm = CHECKSUM_DIGITS.get(len(match[2])) if match else None
    if match is None or algorithm is None or match[1] not in {None, algorithm}:
        raise RowError("bad_value", f"{name} is {text[:80]!r}: a checksum is sha256: and 64 or md5: and 32 hex digits")
    return f"{algorithm}:{match[2]}"


_PARSERS: dict[str, Callable[[object, str], object]] = {
    "video": _text,
    "cover": _text,
    "title": _text,
    "asr": _text,
    "ocr": _text,
    "category": _category,
    "tags": _tags,
    "duration_seconds": _seconds,
    "group": _text,
    "split": _split,
    "video_checksum": _checksum,
    "cover_checksum": _checksum,
}
