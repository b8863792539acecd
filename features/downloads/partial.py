"""A body on its way to disk: it outlives a killed process, and one process at a time writes it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from features.base.errors import ClipError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from features.downloads.store_index import PartialFacts, StoreIndex

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
