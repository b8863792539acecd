"""One run at a time on one root."""

from __future__ import annotations

import fcntl
import os
import time
from typing import IO, TYPE_CHECKING

from tasks.core.console import UNUSABLE_SETTINGS, say

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME = ".lock"
ALREADY_RUNNING = 10
LOCK_ATTEMPTS = 5
SECONDS_BETWEEN_ATTEMPTS = 0.1

_held: dict[Path, IO[str]] = {}


def hold_root(root: Path) -> None:
    """Lock a root for the rest of this process; a second call does nothing.

    The lock is released when the last process that inherited it ends, so a root stays locked while a task process
    of a killed run still runs.

    Raises:
        SystemExit: With 10, when another run holds it, whose process is named; with 40, when the folder cannot
            be written.
    """
    if root in _held:
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        stream = (root / LOCK_NAME).open("a+", encoding="utf-8")
    except OSError as error:
        say(f"error: {root} cannot be used ({error.strerror}): set [paths] root to a folder that can be written")
        raise SystemExit(UNUSABLE_SETTINGS) from None
    if not _locked(stream):
        stream.seek(0)
        holder = stream.read().strip() or "unknown"
        stream.close()
        say(f"{root} is in use by process {holder}: wait for it, stop it, or set another [paths] root")
        raise SystemExit(ALREADY_RUNNING) from None
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    _held[root] = stream


def _locked(stream: IO[str]) -> bool:
    """Take the lock. ``status`` holds it for a moment while it reads, so several attempts are made."""
    for _ in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        else:
            return True
    return False


def holder_of(root: Path) -> int | None:
    """Return the process that holds the lock of a root, ``None`` when it is free."""
    try:
        with (root / LOCK_NAME).open(encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = stream.read().strip()
                return int(holder) if holder.isdigit() else None
    except (FileNotFoundError, NotADirectoryError):
        pass
    return None
