"""Query and result of an inspection: plain values, and pictures that are drawn on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from features.base.errors import SettingError
from features.base.text import shorten_line
from features.inspect.plots.scatter_plot import PROJECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from features.formats.records import ClipRecord

MAX_TITLE_COLUMNS = 200  # a picture has no room for more


@dataclass(frozen=True)
class InspectQuery:
    """What to inspect.

    Attributes:
        clip_id: The clip to inspect in detail; ``None`` = the first with features, frames or a row.
        records: The records of the clips by id, as far as they are known: titles and labels.
        decoded: The decoded shard of the same clips, where there is one, for their pictures.
        projection: Projection of the scatter plot: ``pca`` or ``tsne``.
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
        return "   ".join(shorten_line(part, MAX_TITLE_COLUMNS) for part in parts if part)


@dataclass(frozen=True)
class Drawing:
    """One picture, drawn on demand.

    Attributes:
        name: Plain name of the file, without its suffix.
        caption: Its content in one line.
        draw: Writes the PNG to a path.
    """

    name: str
    caption: str
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class InspectResult:
    """The content of a file.

    Attributes:
        values: JSON values: text, numbers, lists of numbers, and tables as lists of rows.
        drawings: The pictures of this kind of file, the main one first; none for a file of rows.
    """

    values: dict[str, Any]
    drawings: tuple[Drawing, ...] = ()
