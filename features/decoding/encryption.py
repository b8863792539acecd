"""Which streams of a file are encrypted, by a bounded look at its header: decoded without a key they are noise.

ffmpeg decodes the samples of a protected track as if they were plain, and its log does not say so. Sources: ISO
14496-12 8.12 and 23001-7 (MP4), the Matroska element ContentEncryption, ISO 13818-1 2.4.3.3 (transport streams).
"""

from __future__ import annotations

import os
from collections import Counter
from typing import IO, TYPE_CHECKING

from features.decoding.mp4_boxes import boxes, child
from features.downloads.media_kinds import first_ts_packet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Elements that are looked at in one file: more than a film has, and some milliseconds at most.
MAX_ELEMENTS = 2000
# Largest description of the tracks of a Matroska file, and the part of a transport stream that is looked at.
MAX_TRACKS_BYTES = 1 << 20
MAX_TS_BYTES = 1 << 20
# Sample entries of Common Encryption, and of the protected tracks that a music shop sells.
PROTECTED_ENTRIES = frozenset({b"encv", b"enca", b"drmi", b"drms"})

_HANDLERS = {b"vide": "picture", b"soun": "sound"}

_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK_ENTRY, _TRACK_TYPE, _ENCODINGS, _ENCODING, _ENCRYPTION = 0xAE, 0x83, 0x6D80, 0x6240, 0x5035
_TRACK_TYPES = {1: "picture", 2: "sound"}
_EBML_HEADER_BYTES = 12

_TS_SCRAMBLED, _TS_HAS_PAYLOAD = 0x80, 0x10


def encrypted_streams(path: Path, kind: str) -> frozenset[str]:
    """Return which of ``picture`` and ``sound`` the header of an MP4 or Matroska file declares as encrypted."""
    if kind not in {"mp4", "matroska"}:
        return frozenset()
    with path.open("rb", buffering=1 << 12) as stream:
        num_bytes = stream.seek(0, os.SEEK_END)
        if kind == "matroska":
            return frozenset(_encrypted_entries(_tracks(stream, num_bytes)))
        return frozenset(_protected_handlers(stream, num_bytes))


def scrambled_pids(path: Path) -> frozenset[int]:
    """Return the numbers of the streams whose packets in a transport stream are mostly scrambled."""
    with path.open("rb") as stream:
        data = stream.read(MAX_TS_BYTES)
    place, size = first_ts_packet(data)
    counts: Counter[int] = Counter()
    for start in range(place, len(data) - 3, size) if size else ():
        flags = data[start + 3]
        if flags & _TS_HAS_PAYLOAD:
            counts[(data[start + 1] & 0x1F) << 8 | data[start + 2]] += 1 if flags & _TS_SCRAMBLED else -1
    return frozenset(pid for pid, more in counts.items() if more > 0)


def _protected_handlers(stream: IO[bytes], num_bytes: int) -> Iterator[str]:
    """Yield the handler of each track of an MP4 file one of whose sample entries is protected."""
    moov = child(stream, 0, num_bytes, b"moov")
    for name, start, end in boxes(stream, *moov) if moov else ():
        media = child(stream, start, end, b"mdia") if name == b"trak" else None
        handler = media and child(stream, *media, b"hdlr")
        if not media or not handler:
            continue
        stream.seek(handler[0])
        kind = _HANDLERS.get(stream.read(12)[8:], "")
        place: tuple[int, int] | None = media
        for inner in (b"minf", b"stbl", b"stsd"):
            place = place and child(stream, *place, inner)
        # Version, flags and the number of entries come first.
        entries = boxes(stream, place[0] + 8, place[1]) if kind and place else ()
        if any(entry in PROTECTED_ENTRIES for entry, _, _ in entries):
            yield kind


def _tracks(stream: IO[bytes], num_bytes: int) -> bytes:
    """Return the content of the element Tracks of a Matroska file, which stands before the first cluster."""
    place = 0
    for _ in range(MAX_ELEMENTS):
        if place >= num_bytes:
            break
        stream.seek(place)
        number, size, header_bytes = _element(stream.read(_EBML_HEADER_BYTES), 0)
        if not header_bytes or number == _CLUSTER:
            break
        if number == _TRACKS:
            stream.seek(place + header_bytes)
            return stream.read(min(size, MAX_TRACKS_BYTES))
        place += header_bytes + (0 if number == _SEGMENT else size)
    return b""


def _encrypted_entries(tracks: bytes) -> Iterator[str]:
    """Yield the type of each track with an encryption."""
    for number, entry in _elements(tracks):
        if number != _TRACK_ENTRY:
            continue
        fields = dict(_elements(entry))
        encodings = [part for name, part in _elements(fields.get(_ENCODINGS, b"")) if name == _ENCODING]
        track_type = _TRACK_TYPES.get(int.from_bytes(fields.get(_TRACK_TYPE, b"")[:8], "big"))
        if track_type and any(name == _ENCRYPTION for part in encodings for name, _ in _elements(part)):
            yield track_type


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the elements in ``data``."""
    place = 0
    for _ in range(MAX_ELEMENTS):
        number, size, header_bytes = _element(data, place)
        if not header_bytes:
            return
        yield number, data[place + header_bytes : place + header_bytes + size]
        place += header_bytes + size


def _element(data: bytes, place: int) -> tuple[int, int, int]:
    """Return number, size and length of the header of an element of EBML; 0 for the last where there is none.

    An unknown size counts as one that reaches to the end of ``data``, or further.
    """
    number, number_bytes = _variable_integer(data, place, 4)
    size, size_bytes = _variable_integer(data, place + number_bytes, 8)
    if not number_bytes or not size_bytes:
        return 0, 0, 0
    return number, size & ((1 << 7 * size_bytes) - 1), number_bytes + size_bytes


def _variable_integer(data: bytes, place: int, max_bytes: int) -> tuple[int, int]:
    """Return an integer of EBML with its length marker, and its length; 0 for both where there is none."""
    first = data[place] if place < len(data) else 0
    num_bytes = 9 - first.bit_length()
    if not first or num_bytes > max_bytes or place + num_bytes > len(data):
        return 0, 0
    return int.from_bytes(data[place : place + num_bytes], "big"), num_bytes
