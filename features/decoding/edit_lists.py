"""Finds edit lists of several parts in MP4 and QuickTime files, with nothing between some (ISO 14496-12, 8.6.6).

ffmpeg plays the beginning of the media in an empty edit, cut out or not, and is some frames off behind the first part
where pictures are reordered. Only box headers, time scales, handlers and edit lists are read, and their number is
bounded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from features.decoding.mp4_boxes import boxes, child

if TYPE_CHECKING:
    from collections.abc import Iterator

# An interval in seconds.
Interval = tuple[float, float]
# Start in the presentation, start in the media, and duration, in seconds.
Part = tuple[float, float, float]

_EMPTY = -1
_ROUNDING_SECONDS = 0.002
# Edits of one track that are looked at.
MAX_EDITS = 1000
# A filter's expression has a term for each.
MAX_INTERVALS = 64


@dataclass(frozen=True)
class EmptyEdits:
    """Times at which the first picture and the first sound track show nothing, on the clock of the presentation.

    Attributes:
        picture: Those of the picture.
        sound: Those of the sound.
        picture_parts: The parts of the media that are shown, where the parts of both tracks are in order; else none.
        sound_parts: The same of the sound.
        picture_end_seconds: End of the picture's track, 0 without such parts.
        sound_end_seconds: The same of the sound.
    """

    picture: tuple[Interval, ...] = ()
    sound: tuple[Interval, ...] = ()
    picture_parts: tuple[Part, ...] = ()
    sound_parts: tuple[Part, ...] = ()
    picture_end_seconds: float = 0.0
    sound_end_seconds: float = 0.0

    @property
    def end_seconds(self) -> float:
        """End of the presentation, 0 without such parts."""
        return max(self.picture_end_seconds, self.sound_end_seconds)


@dataclass(frozen=True)
class _Track:
    handler: bytes
    # Units a second of its media, and their number.
    scale: int
    duration: int
    # Durations in units of the movie; starts in units of the media, -1 for an empty edit.
    edits: tuple[tuple[int, int], ...]

    def leading(self) -> int:
        """Return the duration of the empty edits before the others."""
        total = 0
        for duration, at in self.edits:
            if at != _EMPTY:
                break
            total += duration
        return total

    def parts(self, start: int, scale: int) -> tuple[Part, ...]:
        """Return the parts of the media; none where they are not in order, or too many."""
        found: list[Part] = []
        time = -start
        for duration, at in self.edits:
            if at != _EMPTY:
                part = (time / scale, at / self.scale, duration / scale)
                if found and part[1] < found[-1][1] + found[-1][2] - _ROUNDING_SECONDS:
                    return ()
                found.append(part)
            time += duration
        return tuple(found) if len(found) <= MAX_INTERVALS else ()


def empty_edits(file: IO[bytes]) -> EmptyEdits:
    """Return the empty edits that stand behind others; none for a file that is fragmented or no MP4.

    The clock starts with the first of the two tracks, as ffmpeg's does.
    """
    scale, tracks = _movie(file)
    if not scale or not tracks:
        return EmptyEdits()
    start = min(track.leading() for track in tracks.values())
    times = {handler: _intervals(track, start, scale) for handler, track in tracks.items()}
    empty = EmptyEdits(times.get(b"vide", ()), times.get(b"soun", ()))
    parts = {handler: track.parts(start, scale) for handler, track in tracks.items()}
    is_plain = not (empty.picture or empty.sound) and all(len(some) < 2 for some in parts.values())  # noqa: PLR2004
    if is_plain or not all(parts.values()):
        return empty
    ends = {
        handler: (sum(duration for duration, _ in track.edits) - start) / scale for handler, track in tracks.items()
    }
    return replace(
        empty,
        picture_parts=parts.get(b"vide", ()),
        sound_parts=parts.get(b"soun", ()),
        picture_end_seconds=ends.get(b"vide", 0.0),
        sound_end_seconds=ends.get(b"soun", 0.0),
    )


def stated_picture_seconds(file: IO[bytes]) -> float:
    """Return the duration of the first picture by its header; 0 for a file that is fragmented or no MP4."""
    scale, tracks = _movie(file)
    picture = tracks.get(b"vide")
    if not scale or not picture or not picture.scale:
        return 0.0
    if not picture.edits:
        return picture.duration / picture.scale
    start = min(track.leading() for track in tracks.values())
    return (sum(duration for duration, _ in picture.edits) - start) / scale


def _movie(file: IO[bytes]) -> tuple[int, dict[bytes, _Track]]:
    """Return the movie's units a second, and its first tracks of pictures and of sound by their handlers."""
    moov = child(file, 0, file.seek(0, 2), b"moov")
    header = moov and child(file, *moov, b"mvhd")
    if not moov or not header or child(file, *moov, b"mvex"):
        return 0, {}
    found = [track for name, start, end in boxes(file, *moov) if name == b"trak" for track in _track(file, start, end)]
    first = {handler: next((one for one in found if one.handler == handler), None) for handler in (b"vide", b"soun")}
    return _time_scale(file, header)[0], {handler: track for handler, track in first.items() if track}


def _intervals(track: _Track, start: int, scale: int) -> tuple[Interval, ...]:
    intervals: list[Interval] = []
    time = 0
    has_media = False
    for duration, at in track.edits:
        if at == _EMPTY and has_media:
            intervals.append(((time - start) / scale, (time + duration - start) / scale))
        has_media = has_media or at != _EMPTY
        time += duration
    return tuple(intervals[:MAX_INTERVALS])


def _time_scale(file: IO[bytes], header: tuple[int, int]) -> tuple[int, int]:
    """Return units a second and a duration in them, from the header of a movie or of a track's media."""
    file.seek(header[0])
    data = file.read(32)
    place, num_bytes = (20, 8) if data[:1] != b"\0" else (12, 4)
    end = place + 4 + num_bytes
    if len(data) < end:
        return 0, 0
    return int.from_bytes(data[place : place + 4], "big"), int.from_bytes(data[place + 4 : end], "big")


def _track(file: IO[bytes], start: int, end: int) -> Iterator[_Track]:
    media = child(file, start, end, b"mdia")
    handler = media and child(file, *media, b"hdlr")
    header = media and child(file, *media, b"mdhd")
    if not handler:
        return
    file.seek(handler[0] + 8)
    name = file.read(4)
    edits = child(file, start, end, b"edts")
    entries = edits and child(file, *edits, b"elst")
    scale, duration = _time_scale(file, header) if header else (0, 0)
    yield _Track(name, scale, duration, _edits(file, *entries) if entries and scale else ())


def _edits(file: IO[bytes], start: int, end: int) -> tuple[tuple[int, int], ...]:
    file.seek(start)
    head = file.read(8)
    if len(head) < 8:  # noqa: PLR2004 - version, flags, count
        return ()
    form = struct.Struct(">QqI" if head[0] else ">IiI")
    count = min(int.from_bytes(head[4:], "big"), MAX_EDITS, max(0, end - start - 8) // form.size)
    data = file.read(count * form.size)
    whole = data[: len(data) // form.size * form.size]
    return tuple((duration, max(at, _EMPTY)) for duration, at, _ in form.iter_unpack(whole))
