"""Lines of text in pictures: their order in one picture, and which of successive pictures are the same line."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from features.recognition.recognizer import Recognition, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Two readings of one line have this fraction of their letters in common: one wrong letter in five.
MIN_SIMILARITY = 0.8
# A line may go unread in this many pictures and is still the same when it is read again.
MAX_MISSED_PICTURES = 1


@dataclass(frozen=True)
class Line:
    """A line as it was read in one picture.

    Attributes:
        text: Its text.
        confidence: 0 to 1.
        left: Where it begins, in pixels from the picture's left edge.
        top: Its upper edge, in pixels from the picture's.
        bottom: Its lower edge.
    """

    text: str
    confidence: float
    left: float
    top: float
    bottom: float


@dataclass
class _Track:
    """A line over time: its best reading so far."""

    key: str
    text: str
    confidence: float
    start_seconds: float
    end_seconds: float
    last_picture: int

    def segment(self) -> Segment:
        return Segment(self.start_seconds, self.end_seconds, self.text, self.confidence)


def in_reading_order(lines: Iterable[Line]) -> list[Line]:
    """Return the lines row by row from the top, and in a row from left to right.

    A line belongs to the row above it when its middle is higher than the lower edge of that row's topmost line.
    """
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.top + line.bottom, line.left)):
        if rows and (line.top + line.bottom) / 2 < rows[-1][0].bottom:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.left)]


def merged_over_time(pictures: Iterable[tuple[float, Sequence[Line]]]) -> Recognition:
    """Return the text of a clip from the lines of its pictures, each with its time in seconds.

    A line that is read in successive pictures, one of them missed at most, is one segment from the first of them to
    the last, with the text of the surest reading; readings are of one line when they have the same digits and at
    least 0.8 of their letters in common, whatever the case, spaces and punctuation. Segments are in the order in
    which they appear. The text is their lines, of those with equal letters and digits the first only. Lines
    without any letter or digit are left out.
    """
    ended: list[_Track] = []
    running: list[_Track] = []
    for number, (seconds, lines) in enumerate(pictures):
        running = [track for track in running if number - track.last_picture <= MAX_MISSED_PICTURES + 1]
        for line in lines:
            key = letters_and_digits(line.text)
            if not key:
                continue
            track = _best_match(key, [track for track in running if track.last_picture < number])
            if track is None:
                track = _Track(key, line.text, line.confidence, seconds, seconds, number)
                ended.append(track)
                running.append(track)
            elif line.confidence > track.confidence:
                track.key, track.text, track.confidence = key, line.text, line.confidence
            track.end_seconds, track.last_picture = seconds, number
    texts: dict[str, str] = {}
    for track in ended:
        texts.setdefault(track.key, track.text)
    return Recognition("\n".join(texts.values()), tuple(track.segment() for track in ended))


def letters_and_digits(text: str) -> str:
    """Return what of a line is compared: letters and digits, folded in case and in width."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())


def _best_match(key: str, tracks: Iterable[_Track]) -> _Track | None:
    """Return the track that is most like ``key``, the older one of equals; ``None`` when none is like enough."""
    best, best_similarity = None, 0.0
    for track in tracks:
        similarity = _similarity(key, track.key)
        if similarity >= MIN_SIMILARITY and similarity > best_similarity:
            best, best_similarity = track, similarity
    return best


def _similarity(one: str, other: str) -> float:
    """Return the fraction of letters in common, 0 to 1; 0 where the digits differ."""
    if one == other:
        return 1.0
    if _digits(one) != _digits(other):
        return 0.0
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.real_quick_ratio() < MIN_SIMILARITY or matcher.quick_ratio() < MIN_SIMILARITY:
        return 0.0
    return matcher.ratio()


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())
