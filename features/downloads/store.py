"""Fetched media by content: one video under two URLs is one file, and what was fetched once is not fetched again."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.base.files import sync
from features.downloads.download_rows import FROM_STORE, MediaFile
from features.downloads.store_index import StoreIndex

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from features.downloads.media_spec import StoredFacts
    from features.downloads.store_index import PartialFacts

# Below this a body that broke off is asked for from its start: cheaper than keeping account of it.
RESUME_MIN_BYTES = 1 << 16


class Partial:
    """The file that the body of one URL is written to, locked while it is open.

    Leaving the context deletes it, unless its facts were kept by :meth:`begin` and it was not discarded.

    Attributes:
        path: Where it lies.
        stream: Open for reading and writing.
        facts: What the bytes that are there belong to, ``None`` = nothing to go on from.
    """

    def __init__(self, path: Path, descriptor: int, url: str, index: StoreIndex) -> None:
        self.path = path
        self.stream = os.fdopen(descriptor, "r+b", buffering=0)
        self._url = url
        self._index = index
        size = os.fstat(descriptor).st_size
        self.facts: PartialFacts | None = index.partial(url) if size else None
        if self.facts is None or size > self.facts.total:
            self.discard()

    @classmethod
    def open(cls, path: Path, url: str, index: StoreIndex) -> Partial | None:
        """Return the file of a URL, ``None`` while somebody else writes it.

        What is no plain file of its own, such as a symbolic or a hard link, is replaced and not followed.

        Raises:
            ClipError: ``store_not_safe``: a folder stands there.
        """
        descriptor = _open_plain(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # Whoever had the lock may have published the file or deleted it since it was opened here.
        if not _is_at(path, descriptor):
            os.close(descriptor)
            return None
        return cls(path, descriptor, url, index)

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.facts is None and _is_at(self.path, self.stream.fileno()):
                self.path.unlink()
        finally:
            self.stream.close()

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return os.fstat(self.stream.fileno()).st_size

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: They do not fit on the disk. A write without a buffer says so by its result first, and raises only
                when there is no room at all.
        """
        if self.stream.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def discard(self) -> None:
        """Forget the bytes that are there."""
        self.stream.truncate(0)
        self.stream.seek(0)
        if self.facts is not None:
            self._index.drop_partial(self._url)
        self.facts = None

    def begin(self, facts: PartialFacts | None) -> None:
        """Make ready for a body from its start; with ``facts`` it can be gone on with when it breaks off."""
        self.discard()
        if facts is not None and facts.total >= RESUME_MIN_BYTES:
            # On record before the first byte is there, so that no byte ever belongs to the facts of another body.
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


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


PARTIALS_FOLDER = ".partial"
# A body that nobody went on with for this long is not waited for any more.
PARTIAL_DAYS = 7
_SECONDS_A_DAY = 86400


class MediaStore:
    """Files ``<folder>/<2 hex digits>/<sha256>.<kind>`` and an index of the URLs that they came from.

    Safe from many threads, and from several processes. The folder itself may be a symbolic link; nothing below it
    is followed if it is one.

    Args:
        folder: Where it lies; made when it is not there.

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
        self._remove_stale_partials()

    def __enter__(self) -> MediaStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def find(self, url: str) -> MediaFile | None:
        """Return the file that was fetched from ``url`` before, if it is there with its size."""
        facts = self._index.file(url)
        if facts is None:
            return None
        file = _file(facts, url)
        return file if self.has(file) else None

    def has(self, file: MediaFile) -> bool:
        """Return whether a file is there: a plain file with its size, in a folder that is no link."""
        path = os.path.join(self.folder, file.path)  # noqa: PTH118 - 3 times as fast, and asked for every clip
        try:
            found = os.lstat(path)
            above = os.lstat(os.path.dirname(path))  # noqa: PTH120 - likewise
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == file.bytes and stat.S_ISDIR(above.st_mode)

    def partial_path(self, url: str) -> Path:
        """Return where the body of ``url`` is written to, and waits to be gone on with when it broke off."""
        return self._partials / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()

    def claim(self, url: str) -> Partial | None:
        """Return the file for the body of ``url``, ``None`` while somebody else writes it."""
        return Partial.open(self.partial_path(url), url, self._index)

    def add(self, temporary: Path, url: str, facts: StoredFacts) -> MediaFile:
        """Publish a whole, checked file under its digest; it and its folder are synced.

        Args:
            temporary: A plain file on the file system of the store; the name is gone afterwards.
            url: Where it came from.
            facts: What it holds.

        Raises:
            ClipError: ``store_not_safe``: something else stands where a folder or a file of the store should be.
            OSError: The disk is full or may not be written.
        """
        file = _file(facts, url)
        folder = _open_folder(self.folder / facts.sha256[:2])
        try:
            sync(temporary)
            # Noted first: whoever finds the temporary name free finds the URL known. A row without its file is
            # none at all.
            self._index.add_file(url, facts)
            # Not features.base.files.published: the folder is named by its descriptor, so that no symbolic link put in
            # its place is followed. A link or an older file under the final name is replaced, never written through.
            os.replace(temporary, f"{facts.sha256}.{facts.kind}", dst_dir_fd=folder)
            os.fsync(folder)
        except IsADirectoryError as error:
            raise ClipError("store_not_safe", f"{self.folder / file.path} is a folder: remove it") from error
        finally:
            os.close(folder)
        return file

    def remove(self, files: Iterable[MediaFile]) -> None:
        """Delete files, those that are gone already included; :meth:`find` then knows nothing of them."""
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
        # Says that it is there of whatever stands there and is no folder, such as a link that leads nowhere.
        path.mkdir(exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise ClipError("store_not_safe", f"{path} is a symbolic link: remove it") from error
        if path.exists() and not path.is_dir():
            raise ClipError("store_not_safe", f"{path} is no folder: remove it") from error
        raise
