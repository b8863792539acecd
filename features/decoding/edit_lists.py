"""Finds the times at which an MP4 or QuickTime file shows nothing: empty edits behind others (ISO 14496-12, 8.6.6).

ffmpeg keeps their length and plays the beginning of the media in it, cut out or not. Only box headers, time scales,
handlers and edit lists are read; all of them are bounded in number.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# An interval in seconds.
Interval = tuple[float, float]

# Children of one box, and edits of one track, that are looked at.
MAX_BOXES = 64
MAX_EDITS = 1000
# A filter's expression has a term for each.
MAX_INTERVALS = 64


@dataclass(frozen=True)
class EmptyEdits:
    """Times at which the first picture and the first sound track show nothing, on the clock of the presentation."""

    picture: tuple[Interval, ...] = ()
    sound: tuple[Interval, ...] = ()


@dataclass(frozen=True)
class _Track:
    handler: bytes
    # Durations in units of the movie, and whether the edit is empty.
    edits: tuple[tuple[int, bool], ...]

    def leading(self) -> int:
        total = 0
        for duration, is_empty in self.edits:
            if not is_empty:
                break
            total += duration
        return total


def empty_edits(file: IO[bytes]) -> EmptyEdits:
    """Return the empty edits that stand behind others; none for a file that is fragmented or no MP4.

    The clock starts with the first of the two tracks, as ffmpeg's does.
    """
    moov = _child(file, 0, file.seek(0, 2), b"moov")
    header = moov and _child(file, *moov, b"mvhd")
    if not moov or not header or _child(file, *moov, b"mvex"):
        return EmptyEdits()
    scale = _time_scale(file, header)
    found = [track for name, start, end in _boxes(file, *moov) if name == b"trak" for track in _track(file, start, end)]
    first = {handler: next((one for one in found if one.handler == handler), None) for handler in (b"vide", b"soun")}
    tracks = {handler: track for handler, track in first.items() if track}
    if not scale or not tracks:
        return EmptyEdits()
    start = min(track.leading() for track in tracks.values())
    times = {handler: _intervals(track, start, scale) for handler, track in tracks.items()}
    return EmptyEdits(times.get(b"vide", ()), times.get(b"soun", ()))


def _intervals(track: _Track, start: int, scale: int) -> tuple[Interval, ...]:
    intervals: list[Interval] = []
    time = 0
    has_media = False
    for duration, is_empty in track.edits:
        if is_empty and has_media:
            intervals.append(((time - start) / scale, (time + duration - start) / scale))
        has_media = has_media or not is_empty
        time += duration
    return tuple(intervals[:MAX_INTERVALS])


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
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


def _child(file: IO[bytes], start: int, end: int, name: bytes) -> tuple[int, int] | None:
    return next(((inner, stop) for found, inner, stop in _boxes(file, start, end) if found == name), None)


def _time_scale(file: IO[bytes], header: tuple[int, int]) -> int:
    file.seek(header[0])
    data = file.read(24)
    if len(data) < 24:  # noqa: PLR2004 - up to the scale of the long form
        return 0
    return int.from_bytes(data[20:24] if data[0] else data[12:16], "big")


def _track(file: IO[bytes], start: int, end: int) -> Iterator[_Track]:
    media = _child(file, start, end, b"mdia")
    handler = media and _child(file, *media, b"hdlr")
    if not handler:
        return
    file.seek(handler[0] + 8)
    name = file.read(4)
    edits = _child(file, start, end, b"edts")
    entries = edits and _child(file, *edits, b"elst")
    yield _Track(name, _edits(file, *entries) if entries else ())


def _edits(file: IO[bytes], start: int, end: int) -> tuple[tuple[int, bool], ...]:
    file.seek(start)
    head = file.read(8)
    if len(head) < 8:  # noqa: PLR2004 - version, flags, count
        return ()
    form = struct.Struct(">QqI" if head[0] else ">IiI")
    count = min(int.from_bytes(head[4:], "big"), MAX_EDITS, max(0, end - start - 8) // form.size)
    data = file.read(count * form.size)
    whole = data[: len(data) // form.size * form.size]
    return tuple((duration, media_time == -1) for duration, media_time, _ in form.iter_unpack(whole))
