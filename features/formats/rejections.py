"""Why a row of the manifest, or a part of it, was not taken over."""

from __future__ import annotations

from dataclasses import dataclass

# With these the row itself became part of a record: only its category, its text file or a label is left out.
KEPT_ROW_CODES = frozenset({"conflicting_category", "damaged_text", "rare_category", "rare_tag"})


class RowError(ValueError):
    """A row that is no record: a code to count and a line for a person."""

    def __init__(self, code: str, detail: str, clip_id: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.clip_id = clip_id


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row, or one label, that was not taken over.

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
