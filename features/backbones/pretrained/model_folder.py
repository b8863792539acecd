"""Tells a model folder on this machine from a hub id, and finds the folder."""

from __future__ import annotations

from pathlib import Path

from features.base.errors import SourceError


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
    """Return ``source:folder`` for a backbone in a folder, else the backbone: where a model lies changes nothing."""
    source, _, name = backbone.partition(":")
    return f"{source}:folder" if is_folder_name(name) else backbone
