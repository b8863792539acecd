"""Size and time of the local files of a shard as Download read them: a later run sees which of them have changed.

A list beside each shard of Download with local files, ``shard-00000.local.json``. It has one column for each of path,
size and modification time, since every run reads it for every clip.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from features.base.files import publish_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Size in bytes and modification time in nanoseconds.
Stamp: TypeAlias = tuple[int, int]
ABSENT: Stamp = (-1, -1)
# Of a file that is to be read again, whatever its size and time are.
UNKNOWN: Stamp = (-2, -2)


@dataclass(frozen=True)
class Changes:
    """The local files of a shard that are not as Download read them.

    Attributes:
        changed: Paths of files with another size or time, and of those that were missing and are there now.
        gone: Paths of files that were there and cannot be found now.
    """

    changed: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


def list_path(folder: Path, shard: str) -> Path:
    """Return the path of the list of a shard: ``shard-00000.local.json`` for ``shard-00000.jsonl``."""
    return folder / f"{shard.partition('.')[0]}.local.json"


def stamp_of(folder: str, source: str) -> Stamp:
    """Return size and time of a file, ``ABSENT`` where it cannot be found.

    Args:
        folder: Folder of the manifest.
        source: Path below it; symbolic links are followed.
    """
    try:
        found = os.stat(f"{folder}/{source}")  # noqa: PTH116 - twice as fast, and asked for every clip
    except (OSError, ValueError):
        return ABSENT
    return found.st_size, found.st_mtime_ns


def is_below(source: str) -> bool:
    """Return whether a path of a manifest stays below its folder, links aside; only such files are listed."""
    return not source.startswith("/") and ".." not in source.split("/")


def write_stamps(folder: Path, shard: str, sha256: str, stamps: Mapping[str, Stamp]) -> None:
    """Publish the list of a shard; without local files there is none.

    It is published before the shard, whose digest it names: after a kill in between it belongs to no shard, and the
    files count as changed.
    """
    path = list_path(folder, shard)
    if not stamps:
        path.unlink(missing_ok=True)
        return
    paths = sorted(stamps)
    row = {
        "shard_sha256": sha256,
        "paths": paths,
        "bytes": [stamps[name][0] for name in paths],
        "modified_ns": [stamps[name][1] for name in paths],
    }
    publish_bytes(path, (json.dumps(row) + "\n").encode())


def read_stamps(folder: Path, shard: str, sha256: str) -> dict[str, Stamp] | None:
    """Return size and time of the local files of a shard by their paths; ``None`` without a list of this shard.

    Those of a list of another content, or of a damaged one, are ``UNKNOWN`` where their paths can be read.
    """
    try:
        row = json.loads(list_path(folder, shard).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    try:
        if row["shard_sha256"] != sha256:
            return dict.fromkeys(row["paths"], UNKNOWN)
        return dict(zip(row["paths"], zip(row["bytes"], row["modified_ns"], strict=True), strict=True))
    except (KeyError, TypeError, ValueError):
        return {}


def find_changes(stamps: Mapping[str, Stamp], folder: Path) -> Changes:
    """Return which files are not as they are listed."""
    top = str(folder)
    changed: set[str] = set()
    gone: set[str] = set()
    for source, known in stamps.items():
        found = stamp_of(top, source)
        if found != known:
            (gone if found == ABSENT else changed).add(source)
    return Changes(frozenset(changed), frozenset(gone))


def mark_unknown(stamps: Mapping[str, Stamp], folder: Path, path: str) -> dict[str, Stamp]:
    """Return size and time of files, with those of one file unknown, so that the next run reads it again.

    Args:
        stamps: By the paths of the manifest.
        folder: Folder of the manifest.
        path: The file, without links in its path; more than one path of the manifest may lead to it.
    """
    same = [source for source in stamps if os.path.realpath(folder / source) == os.path.realpath(folder / path)]
    return {**stamps, **dict.fromkeys(same or [path], UNKNOWN)}
