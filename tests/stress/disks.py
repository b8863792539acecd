"""Small disks for a root: a tmpfs whose size and whose permission to write can be changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KIBIBYTE = 1024


@dataclass(frozen=True)
class Disk:
    """A mounted tmpfs."""

    folder: Path

    def resize(self, num_bytes: int) -> None:
        """Give it so much room."""
        _mount("-o", f"remount,rw,size={num_bytes // KIBIBYTE}k", str(self.folder))

    def forbid_writing(self) -> None:
        """Let it be read only; nobody may have a file open for writing."""
        _mount("-o", "remount,ro", str(self.folder))

    def allow_writing(self) -> None:
        """Let it be written again."""
        _mount("-o", "remount,rw", str(self.folder))


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[Disk]:
    """Mount a tmpfs of so many bytes on a folder for as long as the context lasts.

    Raises:
        OSError: Mounting is not permitted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={num_bytes // KIBIBYTE}k", "stress", str(folder))
    try:
        yield Disk(folder)
    finally:
        subprocess.run([_program("umount"), str(folder)], check=True)


def why_no_disk() -> str:
    """Return why no disk can be mounted here, ``""`` where one can."""
    if os.geteuid() != 0:
        return "mounting a tmpfs needs root"
    try:
        with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder), 1 << 20):
            return ""
    except OSError as error:
        return f"mounting a tmpfs is not permitted here ({error})"


def _mount(*arguments: str) -> None:
    done = subprocess.run([_program("mount"), *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"mount {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise OSError(f"there is no program {name!r}")
    return found
