"""A bounded look at the boxes of an MP4 or QuickTime file (ISO 14496-12), without the media."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Children of one box that are looked at.
MAX_BOXES = 64
# Of a visual sample entry: the fields before its first child.
_ENTRY_BYTES = 78
_NCLX, _NCLC = b"nclx", b"nclc"


@dataclass(frozen=True)
class PictureEntry:
    """What the first description of a file's first picture track says.

    Attributes:
        codec: Name of the entry, such as ``avc1``.
        width: In pixels.
        height: In pixels.
        colour: Primaries, transfer and matrix as numbers of ITU-T H.273, ``None`` where the file states none.
    """

    codec: bytes
    width: int
    height: int
    colour: tuple[int, int, int] | None


def boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the contents of the boxes between two places of a file."""
    for _ in range(MAX_BOXES):
        file.seek(start)
        head = file.read(16)
        if start + 8 > end or len(head) < 8:  # noqa: PLR2004 - size and name
            return
        size, name = struct.unpack(">I4s", head[:8])
        content = start + 8
        if size == 1 and len(head) == 16:  # noqa: PLR2004 - and the long size
            (size,) = struct.unpack(">Q", head[8:])
            content = start + 16
        stop = end if size == 0 else start + size
        if stop < content or stop > end:
            return
        yield name, content, stop
        start = stop


def child(file: IO[bytes], start: int, end: int, name: bytes) -> tuple[int, int] | None:
    """Return start and end of the content of the first box of a name."""
    return next(((inner, stop) for found, inner, stop in boxes(file, start, end) if found == name), None)


def picture_entry(file: IO[bytes]) -> PictureEntry | None:
    """Return the description of the first picture, ``None`` for a file without one or that is no MP4."""
    moov = child(file, 0, file.seek(0, 2), b"moov")
    for name, start, end in boxes(file, *moov) if moov else ():
        media = child(file, start, end, b"mdia") if name == b"trak" else None
        handler = media and child(file, *media, b"hdlr")
        if not media or not handler:
            continue
        file.seek(handler[0] + 8)
        if file.read(4) == b"vide":
            place: tuple[int, int] | None = media
            for inner in (b"minf", b"stbl", b"stsd"):
                place = place and child(file, *place, inner)
            return _entry(file, *place) if place else None
    return None


def _entry(file: IO[bytes], start: int, end: int) -> PictureEntry | None:
    # Version, flags and number of entries come first.
    for codec, content, stop in boxes(file, start + 8, end):
        file.seek(content)
        head = file.read(_ENTRY_BYTES)
        if len(head) < _ENTRY_BYTES:
            return None
        width, height = struct.unpack_from(">HH", head, 24)
        colour = child(file, content + _ENTRY_BYTES, stop, b"colr")
        return PictureEntry(codec, width, height, _colour(file, colour[0]) if colour else None)
    return None


def _colour(file: IO[bytes], place: int) -> tuple[int, int, int] | None:
    file.seek(place)
    data = file.read(10)
    if data[:4] not in {_NCLX, _NCLC} or len(data) < 10:  # noqa: PLR2004 - a name and three numbers
        return None
    primaries, transfer, matrix = struct.unpack_from(">HHH", data, 4)
    return primaries, transfer, matrix
