"""Deletes fetched media that every shard has read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from features.downloads.download_rows import FROM_STORE, read_downloaded
from features.downloads.store import MediaStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from features.downloads.download_rows import MediaFile


class MediaSweeper:
    """Deletes files of the store once the last shard that refers to them lets go; files of the user never.

    Args:
        folder: Of the store.
        rows: Shard -> the rows of its downloaded clips.
    """

    def __init__(self, folder: Path, rows: Mapping[str, Path]) -> None:
        self._folder = folder
        self._rows = rows
        # One video under two URLs is one file.
        self._references = Counter(file.path for path in rows.values() for _, file in _stored(path))
        self._held: list[MediaFile] = []

    def shard_done(self, name: str, *, keep: set[str], hold: set[str]) -> None:
        """Let go of the files of a shard.

        Args:
            name: The shard.
            keep: Clips that will be attempted again: their files stay.
            hold: Clips whose files stay until :meth:`finish`.
        """
        freed: list[MediaFile] = []
        for clip_id, file in _stored(self._rows[name]):
            if clip_id in keep:
                continue
            (self._held if clip_id in hold else freed).append(file)
        self._let_go(freed)

    def finish(self) -> None:
        """Let go of the files that were held."""
        self._let_go(self._held)
        self._held = []

    def _let_go(self, files: Iterable[MediaFile]) -> None:
        last: dict[str, MediaFile] = {}
        for file in files:
            self._references[file.path] -= 1
            if self._references[file.path] == 0:
                last[file.path] = file
        if last:
            with MediaStore(self._folder) as store:
                store.remove(last.values())


def _stored(path: Path) -> Iterator[tuple[str, MediaFile]]:
    """Yield clip id and file for every file of these rows that lies in the store."""
    for clip in read_downloaded(path):
        for file in (clip.video, clip.cover):
            if file is not None and file.where == FROM_STORE:
                yield clip.outcome.clip_id, file
