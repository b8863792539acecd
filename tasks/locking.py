"""One run at a time on one root."""

from __future__ import annotations

import fcntl
import os
from typing import IO, TYPE_CHECKING

from tasks.console import say

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME = ".lock"
ALREADY_RUNNING = 10

_held: dict[Path, IO[str]] = {}


def hold_root(root: Path) -> None:
    """Take the lock of a root for the rest of this process; taking it twice is fine.

    The lock ends with the last process that inherited it, so a root stays locked while a task process of a
    killed run is still at work.

    Raises:
        SystemExit: With 10, when another run holds it; one line on stderr names that run's process.
    """
    if root in _held:
        return
    root.mkdir(parents=True, exist_ok=True)
    stream = (root / LOCK_NAME).open("a+", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        holder = stream.read().strip() or "unknown"
        stream.close()
        say(f"{root} is in use by process {holder}: wait for it, stop it, or set another [paths] root")
        raise SystemExit(ALREADY_RUNNING) from None
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    _held[root] = stream


def holder_of(root: Path) -> int | None:
    """Return the process that holds the lock of a root, ``None`` when nobody does."""
    try:
        with (root / LOCK_NAME).open(encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = stream.read().strip()
                return int(holder) if holder.isdigit() else None
    except FileNotFoundError:
        pass
    return None
