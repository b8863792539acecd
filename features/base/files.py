"""Atomic writes and digests of files: a final name has the whole content or does not exist, also after a power cut."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Names that start with this are leftovers of a killed process; nothing reads them.
TEMPORARY_PREFIX = ".tmp-"
DIGEST_CHUNK_BYTES = 1 << 20


@contextmanager
def published(path: Path, *, make_folder: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on a clean exit the file written there becomes ``path``.

    The file is synced before it is renamed, and its folder afterwards: the name never refers to a part of the content.
    After an exception ``path`` is unchanged and the temporary file is deleted.
    """
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def publish_bytes(path: Path, content: bytes) -> None:
    """Publish ``content`` at ``path``, in a folder that exists."""
    with published(path, make_folder=False) as temporary:
        temporary.write_bytes(content)


def publish_json(path: Path, value: object) -> None:
    """Publish ``value`` as indented JSON with sorted keys, so that equal values give equal bytes."""
    with published(path) as temporary:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files and folders in ``folder`` that no other living process of this machine uses.

    To be called before this process writes there: files with its own number are of an earlier process.
    """
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        owner = path.name[len(TEMPORARY_PREFIX) :].split("-", 1)[0]
        if owner == str(os.getpid()) or not (owner.isdigit() and _is_running(owner)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _is_running(pid: str) -> bool:
    """Return whether a process of this machine runs; one that has ended and that nobody has waited for does not."""
    try:
        state = Path("/proc", pid, "stat").read_bytes().rpartition(b")")[2].split()[:1]
    except OSError:
        return False
    return state != [b"Z"]


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(DIGEST_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_json(value: object, *, escape: bool = False) -> str:
    """Return the sha256 of the canonical JSON (sorted keys, no spaces) of ``value``, 64 hex digits.

    Args:
        value: JSON values; a text that is no valid Unicode, such as a lone surrogate, has a digest too.
        escape: Whether characters outside ASCII are hashed as JSON escapes, as in the input digests of embedding
            shards, or as UTF-8, as in fingerprints. Both are on disk, so neither can change; for ASCII they are equal.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=escape)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
