"""Digests of weights files and of model folders, read once per process as long as the files stay the same."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

CHUNK_BYTES = 1 << 20
# What from_pretrained reads: settings, vocabularies, merges, sentence pieces, weights. No read-me, no
# picture.
MODEL_SUFFIXES = (".json", ".txt", ".model", ".safetensors", ".bin", ".jinja")


def sha256_of_file(path: Path) -> str:
    """Return the hex sha256 of a file's content, remembered by its path, modification time and size."""
    status = path.stat()
    return _sha256(str(path), status.st_mtime_ns, status.st_size)


def sha256_of_model(folder: Path) -> str:
    """Return the hex sha256 over names and contents of the model files that lie directly in ``folder``.

    Counted are the files with a suffix of ``MODEL_SUFFIXES``; where the folder lies does not matter.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.suffix in MODEL_SUFFIXES and path.is_file():
            digest.update(f"{path.name}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def _sha256(path: str, _mtime_ns: int, _size: int) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
