"""Files of models on this machine: folders or hub ids, and digests of weights, read once per process."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from features.base.errors import SourceError
from features.base.files import sha256_of

# What from_pretrained reads: settings, vocabularies, merges, sentence pieces, weights. No read-me, no
# picture.
MODEL_SUFFIXES = (".json", ".txt", ".model", ".safetensors", ".bin", ".jinja")


def is_folder_name(name: str) -> bool:
    """Return whether ``name`` means a folder: it starts with ``/``, ``.`` or ``~``, or is one."""
    return name.startswith(("/", ".", "~")) or Path(name).is_dir()


def model_folder(name: str) -> Path:
    """Return the folder that ``name`` means.

    Raises:
        SourceError: It does not exist, or holds no ``config.json``.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise SourceError(
            f"model folder {name!r} does not exist: give a folder written by save_pretrained, or a hub id"
        )
    if not (folder / "config.json").is_file():
        raise SourceError(
            f"model folder {name!r} has no config.json: give a folder written by save_pretrained, or a hub id"
        )
    return folder


def without_folder(backbone: str) -> str:
    """Return ``source:folder`` for a backbone in a folder, else the backbone: the path of a model changes nothing."""
    source, _, name = backbone.partition(":")
    return f"{source}:folder" if is_folder_name(name) else backbone


def transformers_identity(name: str, revision: str) -> str:
    """Return the sha256 over a folder's files, or ``transformers:ID@REVISION`` for a hub id.

    Raises:
        SourceError: A model folder does not exist or has no ``config.json``.
    """
    if is_folder_name(name):
        return sha256_of_model(model_folder(name))
    return f"transformers:{name}@{revision}"


def sha256_of_file(path: Path) -> str:
    """Return the hex sha256 of a file's content, cached by its path, modification time and size."""
    status = path.stat()
    return _sha256(str(path), status.st_mtime_ns, status.st_size)


def sha256_of_model(folder: Path) -> str:
    """Return the hex sha256 over names and contents of the model files that lie directly in ``folder``.

    Counted are the files with a suffix of ``MODEL_SUFFIXES``; the folder's path does not matter.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.suffix in MODEL_SUFFIXES and path.is_file():
            digest.update(f"{path.name}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def _sha256(path: str, _mtime_ns: int, _size: int) -> str:
    return sha256_of(Path(path))
