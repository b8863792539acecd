"""The content-addressed store of fetched media: one video under two URLs is one file, and is fetched once."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections import Counter
from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.downloads.download_rows import FROM_STORE, MediaFile, read_downloaded
from features.downloads.publication import Publisher, WaitingFile, is_at
from features.downloads.store_index import StoreIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from features.downloads.media_spec import PartialFacts, StoredFacts

# A smaller body is fetched again from its start: cheaper than keeping its state.
RESUME_MIN_BYTES = 1 << 16
PARTIALS_FOLDER = ".partial"
# An incomplete body is deleted after this time.
PARTIAL_DAYS = 7
_SECONDS_A_DAY = 86400


class Partial:
    """The file that the body of one URL is written to, locked while it is open.

    On leaving the context it is deleted, unless :meth:`begin` recorded its facts and it was not discarded.

    Attributes:
        path: Path of the file.
        stream: Open for reading and writing.
        facts: The body to which the bytes on disk belong, ``None`` = nothing to resume.
    """

    def __init__(self, path: Path, descriptor: int, url: str, index: StoreIndex) -> None:
        self.path = path
        self.stream = os.fdopen(descriptor, "r+b", buffering=0)
        self._url = url
        self._index = index
        self._is_handed_over = False
        size = os.fstat(descriptor).st_size
        self.facts: PartialFacts | None = index.partial(url) if size else None
        if self.facts is None or size > self.facts.total:
            self.discard()

    @classmethod
    def open(cls, path: Path, url: str, index: StoreIndex) -> Partial | None:
        """Return the file of a URL, ``None`` while another thread or process writes it.

        Anything but a plain file with one name, such as a symbolic or a hard link, is replaced and not followed.

        Raises:
            ClipError: ``store_not_safe``: there is a folder of this name.
        """
        descriptor = _open_plain(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # The former holder of the lock may have published or deleted the file since it was opened here.
        if not is_at(path, descriptor):
            os.close(descriptor)
            return None
        return cls(path, descriptor, url, index)

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.facts is None and not self._is_handed_over and is_at(self.path, self.stream.fileno()):
                self.path.unlink()
        finally:
            self.stream.close()

    def hand_over(self, folder: int, name: str, facts: StoredFacts) -> WaitingFile:
        """Return the file as one that waits for its name; leaving the context then leaves it alone.

        Args:
            folder: Descriptor of the folder that it goes to; closed by the new owner.
            name: Its name there.
            facts: Its kind, size and digest.
        """
        self._is_handed_over = True
        # The lock belongs to the open file, whichever descriptor is closed first.
        descriptor = os.dup(self.stream.fileno())
        return WaitingFile(descriptor, self.path, folder, name, self._url, facts, is_resumable=self.facts is not None)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return os.fstat(self.stream.fileno()).st_size

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: The disk is full. An unbuffered write first returns a smaller count, and raises only when nothing
                fits.
        """
        if self.stream.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def discard(self) -> None:
        """Delete the bytes and their facts."""
        if self.size:
            self.stream.truncate(0)
            self.stream.seek(0)
        if self.facts is not None:
            self._index.drop_partial(self._url)
        self.facts = None

    def begin(self, facts: PartialFacts | None) -> None:
        """Prepare for a body from its start; with ``facts`` it can be resumed when it breaks off."""
        self.discard()
        if facts is not None and facts.total >= RESUME_MIN_BYTES:
            # Recorded before the first byte is written, so that no byte ever belongs to the facts of another body.
            self._index.add_partial(self._url, facts)
            self.facts = facts


def _open_plain(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if path.is_dir() and not path.is_symlink():
            raise ClipError("store_not_safe", f"{path} is a folder: remove it") from error
        if not (path.is_symlink() or path.is_socket()):
            raise
        path.unlink()
        return os.open(path, flags | os.O_EXCL, 0o644)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    path.unlink()
    return os.open(path, flags | os.O_EXCL, 0o644)


def _is_folder(name: str, folder: int) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return False


class MediaStore:
    """Files ``<folder>/<2 hex digits>/<sha256>.<kind>`` and an index of the URLs that they came from.

    Safe for many threads and several processes. The folder itself may be a symbolic link; no link below it is followed.

    Args:
        folder: Folder of the store; created if missing.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._partials = folder / PARTIALS_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if self._partials.is_symlink():
            self._partials.unlink()
        self._partials.mkdir(exist_ok=True)
        self._index = StoreIndex(folder)
        self._publisher = Publisher(self._index)
        self._remove_stale_partials()

    def __enter__(self) -> MediaStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Publish what was added, and close the index."""
        try:
            self._publisher.close()
        finally:
            self._index.close()

    def find(self, url: str) -> MediaFile | None:
        """Return the stored file of ``url``, ``None`` unless it exists with its size."""
        self._publisher.publish_waiting(url)
        facts = self._index.file(url)
        if facts is None:
            return None
        file = _file(facts, url)
        return file if self.has(file) else None

    def has(self, file: MediaFile) -> bool:
        """Return whether a file exists: a plain file with its size, in a folder that is no link."""
        path = os.path.join(self.folder, file.path)  # noqa: PTH118 - 3 times as fast, and asked for every clip
        try:
            found = os.lstat(path)
            above = os.lstat(os.path.dirname(path))  # noqa: PTH120 - likewise
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == file.bytes and stat.S_ISDIR(above.st_mode)

    def partial_path(self, url: str) -> Path:
        """Return the path to which the body of ``url`` is written, and where it stays until it is resumed."""
        return self._partials / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()

    def claim(self, url: str) -> Partial | None:
        """Return the locked file for the body of ``url``, ``None`` while another thread or process writes it."""
        self._publisher.publish_waiting(url)
        partial = Partial.open(self.partial_path(url), url, self._index)
        if partial is None:
            # Another process that holds it may itself wait for a file of this group.
            self._publisher.publish()
        return partial

    def add(self, partial: Partial, url: str, facts: StoredFacts) -> MediaFile:
        """Take a whole, checked file over, which gets its name with a group of others: see :meth:`publish`.

        Args:
            partial: The file, which is no longer the caller's.
            url: Where it came from.
            facts: Its type, size and digest.

        Raises:
            ClipError: ``store_not_safe``: a name of the store is taken by something of another type.
            OSError: The disk is full or may not be written.
        """
        file = _file(facts, url)
        name = f"{facts.sha256}.{facts.kind}"
        folder = _open_folder(self.folder / facts.sha256[:2])
        if _is_folder(name, folder):
            os.close(folder)
            raise ClipError("store_not_safe", f"{self.folder / file.path} is a folder: remove it")
        self._publisher.add(partial.hand_over(folder, name, facts))
        return file

    def publish(self) -> None:
        """Give every file that was added its name; on return they and their folders are synced.

        Raises:
            OSError: The disk is full or may not be written.
        """
        self._publisher.publish()

    def remove(self, files: Iterable[MediaFile]) -> None:
        """Delete files, missing ones included; :meth:`find` then returns ``None`` for them."""
        for file in files:
            if file.where == FROM_STORE and self.has(file):
                (self.folder / file.path).unlink(missing_ok=True)

    def _remove_stale_partials(self) -> None:
        oldest = time.time() - PARTIAL_DAYS * _SECONDS_A_DAY
        for path in self._partials.iterdir():
            found = path.lstat()
            if found.st_mtime < oldest and not stat.S_ISDIR(found.st_mode):
                path.unlink(missing_ok=True)


def _file(facts: StoredFacts, url: str) -> MediaFile:
    path = f"{facts.sha256[:2]}/{facts.sha256}.{facts.kind}"
    return MediaFile(FROM_STORE, path, facts.kind, facts.num_bytes, facts.sha256, url)


def _open_folder(path: Path) -> int:
    """Return a descriptor of a folder, which is made when it is not there."""
    try:
        # Raises FileExistsError for anything that is no folder, such as a dangling link.
        path.mkdir(exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise ClipError("store_not_safe", f"{path} is a symbolic link: remove it") from error
        if path.exists() and not path.is_dir():
            raise ClipError("store_not_safe", f"{path} is no folder: remove it") from error
        raise


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
