"""Publishes fetched files under their digests in groups: the files of a group are synced side by side, then named."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from features.downloads.media_spec import StoredFacts
    from features.downloads.store_index import StoreIndex

# A group is published when it has this many files or bytes: what a kill can cost.
GROUP_FILES = 64
GROUP_BYTES = 1 << 22
# Syncs at a time: a journaling file system writes the changes of all that wait in one go.
SYNC_THREADS = 8


@dataclass(frozen=True)
class WaitingFile:
    """A whole, checked file that waits for its name.

    Attributes:
        descriptor: Of the file; it keeps the file locked.
        temporary: Path of the file.
        folder: Descriptor of the folder that it goes to, so that no link put in its place is followed.
        name: Its name there.
        url: Where it came from.
        facts: Its kind, size and digest.
        is_resumable: Whether the file stays when it cannot be published.
    """

    descriptor: int
    temporary: Path
    folder: int
    name: str
    url: str
    facts: StoredFacts
    is_resumable: bool


def is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file still has this name."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sync_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.fsync(descriptor)


class Publisher:
    """Gives files their names, a group at a time; thread-safe.

    Syncing one small file after the other takes longer than fetching it from a near server. The order for every file
    of a group stays: the content is synced, the index has the URL, the file gets its name, the folder is synced.

    Args:
        index: Records which URL gave which file.
    """

    def __init__(self, index: StoreIndex) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        # By their URLs; those of a group until all of it is published.
        self._waiting: dict[str, WaitingFile] = {}
        self._group: list[WaitingFile] = []
        self._group_bytes = 0
        self._threads = ThreadPoolExecutor(SYNC_THREADS)

    def add(self, file: WaitingFile) -> None:
        """Take a file over, and publish the group when it is large enough.

        Raises:
            OSError: The disk is full or may not be written.
        """
        # Linux begins to write what it is told not to need, and keeps it all the same; the sync then takes half of the
        # time.
        os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        with self._lock:
            self._waiting[file.url] = file
            self._group.append(file)
            self._group_bytes += file.facts.num_bytes
            is_full = len(self._group) >= GROUP_FILES or self._group_bytes >= GROUP_BYTES
        if is_full:
            self.publish()

    def publish_waiting(self, url: str) -> None:
        """Publish the group with the file of ``url``, if that file waits."""
        if url in self._waiting:
            self.publish()

    def publish(self) -> None:
        """Publish every file that waits; on return each has its name.

        Raises:
            OSError: The disk is full or may not be written; the files of the group are deleted or resumable.
        """
        with self._publishing:
            with self._lock:
                group, self._group, self._group_bytes = self._group, [], 0
            if group:
                try:
                    self._publish(group)
                finally:
                    self._forget(group)

    def close(self) -> None:
        """Publish what waits, and end the threads."""
        try:
            self.publish()
        finally:
            self._threads.shutdown()

    def _publish(self, group: list[WaitingFile]) -> None:
        self._sync([item.descriptor for item in group])
        # Recorded first: a thread that finds the temporary name unlocked then finds the URL in the index. A row
        # without its file counts as none.
        self._index.add_files((item.url, item.facts) for item in group)
        for item in group:
            # Not features.base.files.published: the folder is named by its descriptor. A link or an older file under
            # the final name is replaced, never written through.
            os.replace(item.temporary, item.name, dst_dir_fd=item.folder)
        self._sync([*{item.name[:2]: item.folder for item in group}.values()])

    def _sync(self, descriptors: list[int]) -> None:
        shares = [descriptors[start::SYNC_THREADS] for start in range(min(SYNC_THREADS, len(descriptors)))]
        syncs = [self._threads.submit(_sync_all, share) for share in shares]
        # All of them are waited for, since the descriptors are closed afterwards.
        wait(syncs)
        for sync in syncs:
            sync.result()

    def _forget(self, group: list[WaitingFile]) -> None:
        """Close the files of a group; those that have no name yet and cannot be resumed are deleted."""
        with self._lock:
            for item in group:
                self._waiting.pop(item.url, None)
        for item in group:
            if not item.is_resumable and is_at(item.temporary, item.descriptor):
                item.temporary.unlink()
            os.close(item.descriptor)
            os.close(item.folder)
