"""Disk space of a root, folder by folder; a file with several hard links counts once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LATEST_NAME = "latest"
_FINGERPRINT = re.compile(r"[0-9a-f]{12}")
STAT_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system


@dataclass(frozen=True)
class FolderUsage:
    """The disk space of one folder.

    Attributes:
        stage: Name of the folder below the root.
        fingerprint: Of one run of the stage; ``""`` for files outside of all runs, such as the media store.
        is_latest: Whether ``latest`` links to this folder.
        files: Number of files.
        bytes: Their disk space.
        own_bytes: The part that no earlier row has counted: a shard that several fingerprints share by hard links
            counts for the first of them.
    """

    stage: str
    fingerprint: str
    is_latest: bool
    files: int
    bytes: int
    own_bytes: int


def disk_usage(root: Path) -> tuple[FolderUsage, ...]:
    """Return one row a fingerprint, stages by name, the latest fingerprint of each first; symlinks are not followed.

    The sum of ``own_bytes`` is the disk space of the root. A missing root has no row.
    """
    seen: set[tuple[int, int]] = set()
    rows: list[FolderUsage] = []
    for stage in sorted(_folders(root)):
        latest = root / stage / LATEST_NAME
        newest = latest.readlink().name if latest.is_symlink() else ""
        fingerprints = [name for name in _folders(root / stage) if _FINGERPRINT.fullmatch(name)]
        for name in sorted(fingerprints, key=lambda name: (name != newest, name)):
            files, total, own = _measure(_files(root / stage / name), seen)
            rows.append(FolderUsage(stage, name, name == newest, files, total, own))
        files, total, own = _measure(_files(root / stage, skipped=frozenset(fingerprints)), seen)
        if files:
            rows.append(FolderUsage(stage, "", is_latest=False, files=files, bytes=total, own_bytes=own))
    return tuple(rows)


def _measure(files: Iterator[os.stat_result], seen: set[tuple[int, int]]) -> tuple[int, int, int]:
    """Return the number of files, their bytes, and the bytes of those not in ``seen``; adds them to ``seen``."""
    count = total = own = 0
    for stat in files:
        size = stat.st_blocks * STAT_BLOCK_BYTES
        count += 1
        total += size
        # Only a file with several hard links can occur twice.
        if stat.st_nlink > 1:
            identity = (stat.st_dev, stat.st_ino)
            if identity in seen:
                continue
            seen.add(identity)
        own += size
    return count, total, own


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path | str, skipped: frozenset[str] = frozenset()) -> Iterator[os.stat_result]:
    """Yield the stat of each file below a folder; files that a running stage deletes meanwhile are skipped."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in skipped:
                        yield from _files(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
