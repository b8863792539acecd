"""The rows of the Download stage: the checked files of a clip, or why it has none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# What a path is relative to: the folder of the manifest, or the media store below the root.
FROM_MANIFEST = "manifest"
FROM_STORE = "store"
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class MediaFile:
    """One checked file.

    Attributes:
        where: What the path is relative to, ``manifest`` or ``store``.
        path: Relative path, with slashes.
        kind: Container or picture format by its first bytes, such as ``mp4`` or ``jpeg``.
        bytes: Size.
        sha256: Digest of the content.
        url: Its URL, ``""`` for a local file.
    """

    where: str
    path: str
    kind: str
    bytes: int
    sha256: str
    url: str = ""

    def locate(self, folders: Mapping[str, Path]) -> Path:
        """Return the absolute path, given the folder for each ``where``."""
        return folders[self.where] / self.path


@dataclass(frozen=True)
class DownloadedClip:
    """One row of the Download stage: outcome, files, and code and detail of each problem."""

    outcome: Outcome
    video: MediaFile | None = None
    cover: MediaFile | None = None
    problems: tuple[tuple[str, str], ...] = ()

    def codes(self) -> tuple[str, ...]:
        """Return the codes of everything that is missing of the clip."""
        return tuple(code for code, _ in self.problems) or ((self.outcome.code,) if self.outcome.code else ())

    def to_line(self) -> str:
        """Return the row as one line of canonical JSON, line break included."""
        # The same as of dataclasses.asdict, which takes four times as long.
        files = {name: file and file.__dict__ for name, file in (("video", self.video), ("cover", self.cover))}
        row = {"outcome": self.outcome.__dict__, **files, "problems": self.problems}
        return _ENCODER.encode(row) + "\n"

    @classmethod
    def from_line(cls, line: str) -> DownloadedClip:
        """Return the row of a line that :meth:`to_line` wrote."""
        row = json.loads(line)
        video, cover = (MediaFile(**row[name]) if row[name] else None for name in ("video", "cover"))
        problems = tuple((code, detail) for code, detail in row["problems"])
        return cls(Outcome(**row["outcome"]), video, cover, problems)


def read_downloaded(path: Path) -> list[DownloadedClip]:
    """Return the rows of a file that :func:`features.downloads.download.download_shard` wrote."""
    with path.open(encoding="utf-8") as stream:
        return [DownloadedClip.from_line(line) for line in stream]
