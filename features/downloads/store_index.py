"""The index of the media store: URL -> stored file, and the state of partial bodies; one SQLite file, a cache."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import threading
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from features.downloads.media_spec import PartialFacts, StoredFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Result = TypeVar("Result")
INDEX_NAME = "index.sqlite"
# Another process that holds the index is waited for.
BUSY_SECONDS = 60.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# An index that this process has begun is not waited for, neither on opening nor on closing: the loss of all of it costs
# no more than the fetches of this process.
_UNSYNCED = "PRAGMA synchronous = OFF;"
_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS files (url TEXT PRIMARY KEY, sha256 TEXT, kind TEXT, bytes INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partials
    (url TEXT PRIMARY KEY, total INTEGER, etag TEXT, last_modified TEXT, boot TEXT) WITHOUT ROWID;
PRAGMA synchronous = NORMAL;
"""


class StoreIndex:
    """The index of one store; safe from many threads, and from several processes.

    A transaction is not synced one by one (write-ahead log, ``synchronous = NORMAL``): a power cut can lose the last
    rows, whose files are then fetched again, and never leaves a wrong one. A damaged index is replaced by an empty one,
    whether the damage shows on opening or at a later query.

    Args:
        folder: Folder of the store.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / INDEX_NAME
        self._lock = threading.Lock()
        self._boot = _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""
        if self._path.is_symlink():
            self._path.unlink()
        try:
            self._database = self._open()
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise _as_os_error(self._path, error) from error
            self._database = self._begin_anew()

    def _open(self) -> sqlite3.Connection:
        self._is_new = not self._path.exists()
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            database.executescript(_UNSYNCED * self._is_new + _SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _begin_anew(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(INDEX_NAME + suffix).unlink(missing_ok=True)
        return self._open()

    def close(self) -> None:
        """Write back what is in the log, and close."""
        with self._lock:
            if self._is_new:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute(_UNSYNCED)
            self._database.close()

    def _do(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return the result of work on the database; after damage, of the same work on an empty one."""
        with self._lock:
            try:
                try:
                    return work(self._database)
                except sqlite3.DatabaseError as error:
                    if not _is_damage(error):
                        raise
                    self._database.close()
                    self._database = self._begin_anew()
                    return work(self._database)
            except sqlite3.Error as error:
                raise _as_os_error(self._path, error) from error

    def _row(self, statement: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        """Return the first row of a statement."""
        found: tuple[Any, ...] | None = self._do(lambda database: database.execute(statement, values).fetchone())
        return found

    def file(self, url: str) -> StoredFacts | None:
        """Return the stored file of a URL, ``None`` = it was never fetched."""
        row = self._row("SELECT sha256, kind, bytes FROM files WHERE url = ?", (url,))
        return StoredFacts(*row) if row else None

    def add_files(self, files: Iterable[tuple[str, StoredFacts]]) -> None:
        """Record files by their URLs, and delete the state of their partial bodies, in one transaction."""
        rows = [(url, facts.sha256, facts.kind, facts.num_bytes) for url, facts in files]

        def work(database: sqlite3.Connection) -> None:
            try:
                database.execute("BEGIN")
                database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
                database.executemany("DELETE FROM partials WHERE url = ?", [row[:1] for row in rows])
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")

        self._do(work)

    def partial(self, url: str) -> PartialFacts | None:
        """Return the state of a partial body, ``None`` without one of this boot of the machine.

        After a reboot it is not trusted: a power cut may have kept the length on disk and lost the bytes.
        """
        query = "SELECT total, etag, last_modified FROM partials WHERE url = ? AND boot = ?"
        row = self._row(query, (url, self._boot))
        return PartialFacts(*row) if row else None

    def add_partial(self, url: str, facts: PartialFacts) -> None:
        """Record the state of a body before its first byte is written."""
        row = (url, *astuple(facts), self._boot)
        self._row("INSERT OR REPLACE INTO partials VALUES (?, ?, ?, ?, ?)", row)

    def drop_partial(self, url: str) -> None:
        """Delete the state of a partial body."""
        self._row("DELETE FROM partials WHERE url = ?", (url,))


def _is_damage(error: sqlite3.Error) -> bool:
    """Return whether the content of the index is damaged: sqlite3 has no subclass for such errors."""
    return type(error) is sqlite3.DatabaseError


def _as_os_error(path: Path, error: sqlite3.Error) -> OSError:
    number = errno.ENOSPC if "full" in str(error) else errno.EROFS if "readonly" in str(error) else errno.EIO
    return OSError(number, f"the index of the media store cannot be used: {error}", str(path))
