"""Still pictures in HEIF (ISO/IEC 23008-12), as phones write them: one picture, or a grid of tiles."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.features.media import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Item type -> the box of its parameters, and options of ffmpeg that code such a picture.
_CODECS = {
    "av01": (b"av1C", ("-c:v", "libaom-av1", "-cpu-used", "8", "-still-picture", "1")),
    "hvc1": (b"hvcC", ("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1")),
}


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def full_box(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags), *parts)


def heif(
    folder: Path,
    colours: Sequence[str],
    *,
    brand: bytes = b"avif",
    coded: str = "av01",
    turns: int = 0,
    side: int = 64,
    claimed_side: int = 0,
) -> bytes:
    """Return a still picture.

    Args:
        folder: Folder for the coded tiles.
        colours: Colours of its square tiles: one, or four of two rows.
        brand: Major brand.
        coded: Type of the coded items.
        turns: Quarter turns against the clock.
        side: Pixels of a tile's side.
        claimed_side: What the file claims of it; 0 = the truth.
    """
    parameters_kind, options = _CODECS[coded]
    tiles = []
    for colour in colours:
        source = f"color={colour}:size={side}x{side}:rate=1:duration=1"
        data = render(
            folder / f"{colour}.mp4", [source], "-frames:v", "1", "-pix_fmt", "yuv420p", *options
        ).read_bytes()
        tiles.append(_content(data, b"mdat"))
        parameters = box(parameters_kind, _content(data, parameters_kind))
    side = claimed_side or side
    whole = side * (2 if len(tiles) > 1 else 1)
    grid = bytes([0, 0, 1, 1]) + struct.pack(">HH", whole, whole)
    contents = [grid, *tiles] if len(tiles) > 1 else tiles
    kinds = [b"grid"] + [coded.encode()] * len(tiles) if len(tiles) > 1 else [coded.encode()]
    start = box(b"ftyp", brand, bytes(4), brand, b"mif1miaf")
    shape = (whole, side, parameters, turns)
    length = len(start) + len(_meta(kinds, contents, 0, shape)) + 8
    return start + _meta(kinds, contents, length, shape) + box(b"mdat", *contents)


def _content(data: bytes, kind: bytes) -> bytes:
    place = data.index(kind) - 4
    return data[place + 8 : place + struct.unpack(">I", data[place : place + 4])[0]]


def _meta(kinds: Sequence[bytes], contents: Sequence[bytes], start: int, shape: tuple[int, int, bytes, int]) -> bytes:
    whole, side, parameters, turns = shape
    places, entries, links = b"", [], b""
    for number, (kind, content) in enumerate(zip(kinds, contents, strict=True), 1):
        places += struct.pack(">HHHII", number, 0, 1, start, len(content))
        start += len(content)
        hidden = len(kinds) > 1 and number > 1
        entries.append(full_box(b"infe", struct.pack(">HH4s", number, 0, kind), b"\0", flags=0x02000000 | hidden))
        # Properties by their place: 1 size of the whole, 2 of a tile, 3 parameters of the codec, 4 the turn.
        if kind == b"grid":
            links += struct.pack(">HBBB", number, 2, 1, 0x84)
        else:
            links += (
                struct.pack(">HBBBB", number, 3, 2, 0x83, 0x84)
                if len(kinds) == 1
                else struct.pack(">HBBB", number, 2, 2, 0x83)
            )
    size = [full_box(b"ispe", struct.pack(">II", pixels, pixels)) for pixels in (whole, side)]
    tiles = range(2, len(kinds) + 1)
    reference = full_box(b"iref", box(b"dimg", struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *tiles)))
    return full_box(
        b"meta",
        full_box(b"hdlr", bytes(4), b"pict", bytes(12), b"\0"),
        full_box(b"pitm", struct.pack(">H", 1)),
        full_box(b"iloc", bytes([0x44, 0]), struct.pack(">H", len(kinds)), places),
        full_box(b"iinf", struct.pack(">H", len(kinds)), *entries),
        reference if tiles else b"",
        box(
            b"iprp",
            box(b"ipco", *size, parameters, box(b"irot", bytes([turns]))),
            full_box(b"ipma", struct.pack(">I", len(kinds)), links),
        ),
    )
