"""What a look asks for, and what it gives: plain values, and pictures that are drawn on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from features.analysis.projection import PROJECTIONS
from features.base.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from features.formats.records import ClipRecord

# No picture has room for more.
MAX_TITLE_CHARACTERS = 200


@dataclass(frozen=True)
class Look:
    """What to look at.

    Attributes:
        clip_id: The clip to look at closely; ``None`` = the first that has something to show.
        records: The clips as the manifest has them, by id, as far as they are known: names and labels.
        decoded: The decoded shard of the same clips, where there is one: their pictures.
        projection: How a shard becomes a scatter plot: ``pca`` or ``tsne``.
    """

    clip_id: str | None = None
    records: Mapping[str, ClipRecord] = field(default_factory=dict)
    decoded: Path | None = None
    projection: str = "pca"

    def __post_init__(self) -> None:
        if self.projection not in PROJECTIONS:
            raise SettingError(f"unknown projection {self.projection!r}: expected one of {', '.join(PROJECTIONS)}")

    def category(self, clip_id: str) -> str | None:
        """Return the category of a clip, ``None`` where it is unknown."""
        record = self.records.get(clip_id)
        return None if record is None else record.category

    def title(self, clip_id: str) -> str:
        """Return the title of a clip, ``""`` where it is unknown."""
        record = self.records.get(clip_id)
        return "" if record is None else record.title

    def labels(self, clip_id: str) -> dict[str, str | None]:
        """Return category and title of a clip as JSON values; nothing when no records are known."""
        return {"category": self.category(clip_id), "title": self.title(clip_id)} if self.records else {}

    def heading(self, clip_id: str) -> str:
        """Return id, category and title of a clip in one line, as far as they are known."""
        parts = (clip_id, self.category(clip_id) or "", self.title(clip_id))
        return "   ".join(one_line(part) for part in parts if part)


def one_line(text: str) -> str:
    """Return text as a picture can show it: in one line, cut, without halves of surrogate pairs."""
    return " ".join(text[:MAX_TITLE_CHARACTERS].split()).encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class Drawing:
    """One picture that can be drawn.

    Attributes:
        name: Plain name of the file, without its suffix.
        shows: What it shows, in one line.
        draw: Writes the PNG to a path; raises ``ToolError`` when a package is missing.
    """

    name: str
    shows: str
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class Found:
    """What a file holds.

    Attributes:
        values: JSON values: text, numbers, lists of numbers, and tables as lists of rows.
        drawings: The pictures that apply, the most telling one first; none for a file of rows.
    """

    values: dict[str, Any]
    drawings: tuple[Drawing, ...] = ()
