"""The command for a cover: the first picture of a file, upright, in its own proportions.

ffmpeg turns JPEG and HEIF by itself. For PNG and WebP the orientation is read here, from the one chunk that holds it:
not all versions of ffmpeg know it, and none knows an EXIF chunk that starts with ``Exif`` and two zero bytes, as
libvips writes it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from features.base.errors import ClipError
from features.decoding.colour import picture_codec, picture_filters
from features.decoding.commands import GLOBAL_OPTIONS, PLAIN_OUTPUT, guards
from features.decoding.ffmpeg import ffmpeg_version
from features.decoding.plan import END_OF_HEADER

if TYPE_CHECKING:
    from pathlib import Path

    from features.decoding.config import DecodeConfig

# The demuxer that ffmpeg would choose by a picture's name interprets the name as a pattern of many files.
PICTURE_FORMATS = {
    "jpeg": "jpeg_pipe", "png": "png_pipe", "webp": "webp_pipe", "gif": "gif", "heif": "mov", "heif_sequence": "mov",
}  # fmt: skip
MOVING_WEBP_FORMAT = "webp_anim"
# From this version on ffmpeg joins the tiles of a HEIF, and turns it.
HEIF_VERSION = 8
# EXIF orientation -> filters that turn the picture upright.
_UPRIGHT = {
    2: ["hflip"], 3: ["hflip", "vflip"], 4: ["vflip"], 5: ["transpose=cclock_flip"],
    6: ["transpose=clock"], 7: ["transpose=clock_flip"], 8: ["transpose=cclock"],
}  # fmt: skip
# PNG has a chunk for each 8 KB of picture in some files. A chunk with EXIF may hold a small picture of its own.
MAX_CHUNKS = 20_000
MAX_EXIF_BYTES = 1 << 20
_MAX_TIFF_ENTRIES = 1000
_ORIENTATION_TAG, _SHORT = 0x112, 3
_ANIMATION_FLAG = 0x02
_TILES = re.compile(r"^  Stream group #0:0\b.*: Tile Grid: .*, (?P<width>\d+)x(?P<height>\d+)", re.MULTILINE)


@dataclass(frozen=True)
class CoverForm:
    """What the file of a cover says beside its picture.

    Attributes:
        orientation: EXIF orientation, 1 = upright; 0 = ffmpeg finds it out.
        is_moving: Whether it is a moving WebP.
    """

    orientation: int = 0
    is_moving: bool = False


def cover_form(path: Path, kind: str) -> CoverForm:
    """Return what the file of a cover says beside its picture; of a damaged file less.

    Raises:
        OSError: It cannot be read.
    """
    if kind not in {"png", "webp"}:
        return CoverForm()
    with path.open("rb") as stream:
        head = stream.read(21)
        is_moving = kind == "webp" and head[12:16] == b"VP8X" and bool(head[20:21] and head[20] & _ANIMATION_FLAG)
        exif = _chunk(stream, 12, "<4sI", b"EXIF", 0) if kind == "webp" else _chunk(stream, 8, ">I4s", b"eXIf", 4)
    return CoverForm(_orientation(exif.removeprefix(b"Exif\0\0")), is_moving)


def _chunk(stream: IO[bytes], start: int, header: str, wanted: bytes, num_checksum_bytes: int) -> bytes:
    """Return the content of the first chunk of a name, ``b""`` where none is found.

    Args:
        stream: The file.
        start: Where its chunks start.
        header: ``struct`` format of a chunk's name and length, in either order.
        wanted: The name.
        num_checksum_bytes: Bytes behind the content; without a checksum an odd content is padded.
    """
    place = start
    for _ in range(MAX_CHUNKS):
        stream.seek(place)
        data = stream.read(8)
        if len(data) < 8:  # noqa: PLR2004 - see the line above
            return b""
        fields = struct.unpack(header, data)
        name, num_bytes = fields if isinstance(fields[0], bytes) else fields[::-1]
        if name == wanted:
            return stream.read(num_bytes) if num_bytes <= MAX_EXIF_BYTES else b""
        place += 8 + num_bytes + (num_checksum_bytes or num_bytes % 2)
    return b""


def _orientation(tiff: bytes) -> int:
    """Return the orientation in the first directory of EXIF (TIFF 6.0, section 2), 1 where it states none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:  # noqa: PLR2004 - of the header
        return 1
    (place,) = struct.unpack_from(f"{order}I", tiff, 4)
    if place + 2 > len(tiff):
        return 1
    (num_entries,) = struct.unpack_from(f"{order}H", tiff, place)
    entries = tiff[place + 2 : place + 2 + 12 * min(num_entries, _MAX_TIFF_ENTRIES)]
    for tag, kind, count, value in struct.iter_unpack(f"{order}HHIH2x", entries[: len(entries) // 12 * 12]):
        if (tag, kind, count) == (_ORIENTATION_TAG, _SHORT, 1):
            return value if value in _UPRIGHT else 1
    return 1


def cover_command(binary: str, path: str, kind: str, config: DecodeConfig, form: CoverForm) -> list[str]:
    """Return the command that writes a cover picture, shrunk, as one JPEG to its standard output.

    Args:
        binary: The ffmpeg to run.
        path: The file.
        kind: Its kind.
        config: The settings.
        form: What the file says beside its picture.

    Raises:
        ClipError: ``format_not_allowed`` for a kind that is no picture, ``format_not_supported`` for HEIF where ffmpeg
            is too old for it.
    """
    import ffmpeg  # noqa: PLC0415 - 10 ms that only decoding needs

    formats = {**PICTURE_FORMATS, "webp": MOVING_WEBP_FORMAT} if form.is_moving else PICTURE_FORMATS
    options = guards(formats, kind, config)
    if formats[kind] == "mov":
        _check_heif(binary)
    # The density that a picture states for printers is no shape of its pixels.
    steps = [*_UPRIGHT.get(form.orientation, []), "setsar=1"]
    filters = ",".join([*steps, *picture_filters(kind, config.short_side_pixels, "mjpeg")])
    source = ffmpeg.input(f"file:{path}", **options)
    output = ffmpeg.output(
        source, "pipe:1", format="image2pipe", **{"frames:v": 1}, **picture_codec("mjpeg"), **PLAIN_OUTPUT
    )
    words = [str(word) for word in output.global_args(*GLOBAL_OPTIONS).compile(binary)]
    place = words.index("-i")
    before = ["-noautorotate"] if form.orientation else []
    # An input without a name is the picture that the file names as its main one, its tiles joined.
    picture = ["-filter_complex", f"{filters}[cover]", "-map", "[cover]"]
    chosen = picture if formats[kind] == "mov" else ["-map", "0:v:0", "-vf", filters]
    return [*words[:place], *before, *words[place : place + 2], *chosen, *words[place + 2 :]]


def joined_pixels(log: str) -> int | None:
    """Return the number of pixels that the tiles of a HEIF make, 0 without tiles, ``None`` before ffmpeg has said it.

    ffmpeg holds each tile against ``max_pixels``, not the whole.
    """
    if END_OF_HEADER not in log:
        return None
    found = _TILES.search(log)
    return int(found["width"]) * int(found["height"]) if found else 0


def _check_heif(binary: str) -> None:
    version = ffmpeg_version(binary)
    if int(version.lstrip("n").partition(".")[0]) < HEIF_VERSION:
        raise ClipError(
            "format_not_supported",
            f"HEIF and AVIF need ffmpeg {HEIF_VERSION} or newer, this one is {version}: leave [decode] ffmpeg empty for"
            " the packaged one, or give the cover as JPEG",
        )
