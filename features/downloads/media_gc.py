"""Garbage collection of fetched media: deletes files that every shard has read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from features.downloads.download_rows import FROM_STORE, read_downloaded
from features.downloads.store import MediaStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from features.downloads.download_rows import MediaFile


class MediaCollector:
    """Counts references to the files of the store and deletes those without any; never a file of the user.

    Args:
        folder: Folder of the store.
        rows: Shard -> file with the rows of its downloaded clips.
    """

    def __init__(self, folder: Path, rows: Mapping[str, Path]) -> None:
        self._folder = folder
        self._rows = rows
        # Path -> references: one video under two URLs is one file.
        self._references = Counter(file.path for path in rows.values() for _, file in _stored_files(path))
        self._held: list[MediaFile] = []

    def shard_done(self, name: str, *, keep: set[str], hold: set[str]) -> None:
        """Release a shard's media files; delete those with no other reference.

        Args:
            name: The shard.
            keep: Clips that will be attempted again: their files are not released.
            hold: Clips whose files are released by :meth:`finish`.
        """
        released: list[MediaFile] = []
        for clip_id, file in _stored_files(self._rows[name]):
            if clip_id in keep:
                continue
            (self._held if clip_id in hold else released).append(file)
        self._release(released)

    def finish(self) -> None:
        """Release the files that were held."""
        self._release(self._held)
        self._held = []

    def _release(self, files: Iterable[MediaFile]) -> None:
        last: dict[str, MediaFile] = {}
        for file in files:
            self._references[file.path] -= 1
            if self._references[file.path] == 0:
                last[file.path] = file
        if last:
            with MediaStore(self._folder) as store:
                store.remove(last.values())


def _stored_files(path: Path) -> Iterator[tuple[str, MediaFile]]:
    """Yield clip id and file for every stored file of these rows."""
    for clip in read_downloaded(path):
        for file in (clip.video, clip.cover):
            if file is not None and file.where == FROM_STORE:
                yield clip.outcome.clip_id, file
