"""The format of a manifest, the folder of its paths, and the digest of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.errors import SourceError
from features.base.files import sha256_of
from features.manifests.clip_folders import walk_clips
from features.manifests.config import FOLDER_PRESET

if TYPE_CHECKING:
    from pathlib import Path

    from features.manifests.config import CorpusConfig

_KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "tsv"}
_COMPRESSIONS = {".gz": "gz", ".zst": "zst"}


@dataclass(frozen=True)
class ManifestFormat:
    """How the bytes of a manifest become rows.

    Attributes:
        kind: ``jsonl``, ``csv``, ``tsv`` or ``folder``.
        compression: ``""``, ``gz`` or ``zst``.
    """

    kind: str
    compression: str = ""


def format_of(path: Path, config: CorpusConfig) -> ManifestFormat:
    """Return the format of a manifest by the preset and its name.

    A name without one of the known endings is CSV where the preset is ``csv``, and else JSON lines.
    """
    if config.preset == FOLDER_PRESET:
        return ManifestFormat("folder")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    kind_suffix = (suffixes[:-1] if compression else suffixes)[-1:]
    default = "csv" if config.preset == "csv" else "jsonl"
    return ManifestFormat(_KINDS.get(kind_suffix[0], default) if kind_suffix else default, compression)


def manifest_exists(path: Path, config: CorpusConfig) -> bool:
    """Return whether there is a file, or a folder where the preset reads one."""
    return path.is_dir() if config.preset == FOLDER_PRESET else path.is_file()


def check_manifest(path: Path, config: CorpusConfig) -> None:
    """Raise where the manifest is not there, or is a folder instead of a file or the other way round.

    Raises:
        SourceError: With the way out.
    """
    if manifest_exists(path, config):
        return
    if not path.exists():
        problem = "there is nothing of this name; set [corpus] manifest"
    elif config.preset == FOLDER_PRESET:
        problem = f"preset = {FOLDER_PRESET} reads a folder, and this is none; set [corpus] manifest or preset"
    elif path.is_dir():
        problem = f"it is a folder; set [corpus] manifest to a file, or preset = {FOLDER_PRESET}"
    else:
        problem = "it is no regular file; set [corpus] manifest to one"
    raise SourceError(f"cannot read the manifest {path}: {problem}")


def manifest_folder(path: Path, config: CorpusConfig) -> Path:
    """Return the folder from which the paths of videos and covers in a manifest start."""
    return path if config.preset == FOLDER_PRESET else path.parent


def manifest_digest(path: Path, config: CorpusConfig) -> str:
    """Return a sha256, 64 hex digits, that changes with whatever the records are made from.

    Of a file it is the sha256 of its bytes. Of a folder it covers which clips have which files and the
    bytes of their text files, not the media: for a media file the path counts, as in every other manifest.

    Raises:
        SourceError: The manifest is not there or cannot be read.
    """
    check_manifest(path, config)
    try:
        if config.preset != FOLDER_PRESET:
            return sha256_of(path)
        digest = hashlib.sha256()
        for clip in walk_clips(path):
            digest.update(repr((clip.category, clip.name, clip.problem, clip.video, clip.cover, clip.text())).encode())
        return digest.hexdigest()
    except OSError as error:
        raise SourceError(f"cannot read the manifest {path}: {error.strerror}; set [corpus] manifest") from error
