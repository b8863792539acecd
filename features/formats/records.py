"""One clip as the manifest describes it, parsed once at the edge and trusted inside."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

SPLITS = ("train", "validation", "test")
# The only key of the first line of recognised texts: it names what made the file and is not a row.
MADE_BY = "made_by"
# Equal records give equal bytes.
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
# With these the row itself became part of a record: only its category, its text file or a label is left out.
KEPT_ROW_CODES = frozenset({"conflicting_category", "damaged_text", "rare_category", "rare_tag"})


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One clip of the corpus.

    Attributes:
        clip_id: Unique in the corpus.
        video: An http(s) URL, or a path below the manifest's folder; ``""`` when there is none.
        cover: Likewise, the cover picture.
        title: Text of the clip, ``""`` when there is none.
        asr: Recognised speech, ``""`` when there is none.
        ocr: Recognised on-screen text, ``""`` when there is none.
        category: Its one category, ``None`` when unknown.
        tags: Its tags; ``None`` when unknown, empty when the clip is known to have none.
        duration_seconds: Duration that the manifest states, ``None`` when it states none.
        group: Clips of one group are all in one split; ``""`` when the manifest names none.
        split: ``train``, ``validation`` or ``test`` where the manifest fixes it, else ``""``.
        video_checksum: What the bytes of the video must give, ``sha256:<hex>`` or ``md5:<hex>``; ``""`` for any.
        cover_checksum: Likewise, the cover.
    """

    clip_id: str
    video: str = ""
    cover: str = ""
    title: str = ""
    asr: str = ""
    ocr: str = ""
    category: str | None = None
    tags: tuple[str, ...] | None = None
    duration_seconds: float | None = None
    group: str = ""
    split: str = ""
    video_checksum: str = ""
    cover_checksum: str = ""

    def to_line(self) -> str:
        """Return the record as one line of canonical JSON, line break included."""
        return _ENCODER.encode({name: getattr(self, name) for name in _FIELD_NAMES}) + "\n"

    @classmethod
    def from_line(cls, line: str) -> ClipRecord:
        """Return the record of a line that :meth:`to_line` wrote."""
        row = json.loads(line)
        if row["tags"] is not None:
            row["tags"] = tuple(row["tags"])
        return cls(**row)


_FIELD_NAMES = tuple(sorted(field.name for field in fields(ClipRecord)))


class RowError(ValueError):
    """A row that is no record: a code to count and a line for a person."""

    def __init__(self, code: str, detail: str, clip_id: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.clip_id = clip_id


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row, or one label, that was rejected.

    Attributes:
        line: Line of the manifest, from 1; of a folder the number of the clip's folder in sorted order.
        code: Short reason such as ``invalid_json``.
        detail: One line for a person.
        clip_id: The clip where it is known, else ``""``.
    """

    line: int
    code: str
    detail: str
    clip_id: str = ""

    @classmethod
    def of(cls, line: int, error: RowError) -> Rejection:
        """Return the row that records ``error``; bytes of a file's name that are no UTF-8 are spelled out."""
        return cls(line, error.code, _writable(str(error)), _writable(error.clip_id))


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
