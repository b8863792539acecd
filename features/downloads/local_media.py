"""Media files that the manifest names by path: they stay where they are, below the manifest's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.downloads.download_rows import FROM_MANIFEST, MediaFile
from features.downloads.media_spec import Inspector

if TYPE_CHECKING:
    from pathlib import Path

    from features.downloads.media_spec import Wanted

READ_BYTES = 1 << 20


def find_local(source: str, wanted: Wanted, folder: Path) -> MediaFile:
    """Return the facts of a local file.

    Args:
        source: A path below ``folder``; symbolic links are followed if they stay there.
        wanted: What it has to be.
        folder: The manifest's.

    Raises:
        ClipError: ``path_not_allowed``, ``file_missing``, ``file_unreadable``, or what
            :class:`features.downloads.media_spec.Inspector` refuses.
    """
    if "\0" in source:
        raise ClipError("path_not_allowed", "the path holds a zero byte")
    top = folder.resolve()
    try:
        path = (top / source).resolve()
        if not path.is_relative_to(top):
            raise ClipError("path_not_allowed", f"{source} leads out of the manifest's folder")
        return _inspect(path, wanted, path.relative_to(top))
    except FileNotFoundError as error:
        raise ClipError("file_missing", f"{source} is not there") from error
    except OSError as error:
        raise ClipError("file_unreadable", f"{source}: {error.strerror}") from error
    except (RuntimeError, UnicodeError) as error:
        # Python before 3.13 of links that lead in a circle; of characters that no file name can hold.
        raise ClipError("file_unreadable", f"{source!r}: {error}") from error


def _inspect(path: Path, wanted: Wanted, name: Path) -> MediaFile:
    if not path.is_file():
        raise ClipError("file_missing", f"{name} is not a file")
    wanted.check_size(path.stat().st_size)
    inspector = Inspector(wanted)
    with path.open("rb") as stream:
        while data := stream.read(READ_BYTES):
            inspector.update(data)
    facts = inspector.facts()
    return MediaFile(FROM_MANIFEST, name.as_posix(), facts.kind, facts.num_bytes, facts.sha256)


def locate_unchanged(file: MediaFile, folder: Path) -> Path:
    """Return the absolute path of a local file that Download saw.

    Raises:
        ClipError: ``file_missing``, or ``changed_since_download`` when its size is another one.
    """
    path = folder / file.path
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ClipError("file_missing", f"{file.path} has gone since Download saw it") from error
    if size != file.bytes:
        raise ClipError("changed_since_download", f"{size:,} bytes, Download saw {file.bytes:,}: force Download")
    return path
