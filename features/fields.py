"""One row of a manifest -> one record: the type rule of every field."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING

from features.records import ClipRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID_CHARACTERS = 512
SPLITS = ("train", "validation", "test")
# Spellings in use for the same three.
SPLIT_NAMES = {"train": "train", "training": "train", "validation": "validation", "val": "validation",
               "valid": "validation", "dev": "validation", "test": "test"}  # fmt: skip
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2}(?:\.\d+)?)")


class RowError(ValueError):
    """A row that is no record: a code to count and a line for a person."""

    def __init__(self, code: str, detail: str, clip_id: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.clip_id = clip_id


def parse_row(row: Mapping[str, object], field_map: Mapping[str, str]) -> ClipRecord:
    """Return the record of one manifest row.

    A field that is absent, null or blank is missing. Text keeps its script and is only stripped.

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
    if value is None or value == "":
        raise RowError("missing_id", f"the row has no field {name!r}")
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}: an id is a text or a whole number")
    clip_id = value.strip()
    if not clip_id or len(clip_id) > MAX_ID_CHARACTERS or _has_control(clip_id):
        raise RowError(
            "bad_id",
            f"{name} is {clip_id[:40]!r}: an id has 1 to {MAX_ID_CHARACTERS} visible characters",
        )
    return clip_id


def _has_control(text: str) -> bool:
    # Cc: control, Cf: invisible marks such as right-to-left overrides, Cs: half a surrogate pair.
    return any(unicodedata.category(character) in {"Cc", "Cf", "Cs"} for character in text)


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError("wrong_type", f"{name} is a {type(value).__name__}, expected a text")
    if not value.isprintable():
        value = "".join(c if unicodedata.category(c) not in {"Cs", "Cc"} else " " for c in value)
    return value.strip()


def _tags(value: object, name: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise RowError("wrong_type", f"{name} is {str(value)[:60]!r}, expected a list of texts")
    return tuple(dict.fromkeys(tag.strip() for tag in value if tag.strip()))


def _seconds(value: object, name: str) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and (match := CLOCK.fullmatch(value.strip())):
        hours, minutes, seconds = match.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RowError("wrong_type", f"{name} is {str(value)[:60]!r}, expected seconds or h:mm:ss")
    if not (math.isfinite(value) and value >= 0):
        raise RowError("bad_value", f"{name} is {value}: a duration is 0 seconds or more")
    return float(value)


def _split(value: object, name: str) -> str:
    text = _text(value, name).lower()
    if text and text not in SPLIT_NAMES:
        raise RowError("bad_value", f"{name} is {text[:40]!r}: a split is one of {', '.join(SPLITS)}")
    return SPLIT_NAMES.get(text, "")
