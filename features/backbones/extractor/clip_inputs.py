"""What an extractor gets of each clip: one modality of a decoded clip, or the texts of a record."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from features.base.errors import ShardError
from features.base.outcomes import Outcome, leading_code
from features.formats.matroska import StoredCover, stored_pictures, stored_sound
from features.formats.reuse import digest_of, source_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from features.base.outcomes import Status
    from features.formats.records import ClipRecord
    from features.formats.tar_shard import OpenedClip


@dataclass(frozen=True)
class ClipInput:
    """What an extractor gets of one clip.

    Attributes:
        outcome: How things stand before the network: an absent modality is ``ok`` with a code.
        value: Pictures, sound or texts, ``None`` when there is none.
        digest: The sha256 of what decides them, settings apart.
        expected: Rows that a whole clip would give; 0 = as many as the network gives.
    """

    outcome: Outcome
    value: Any  # Iterable[Picture], Sound or Mapping[str, str], as the extractor of the modality takes
    digest: bytes
    expected: int = 0

    def without_value(self) -> ClipInput:
        """Return the rest of it."""
        return replace(self, value=None)


def text_inputs(
    records: Iterable[ClipRecord], fields: Sequence[str], recognized: Mapping[str, Iterable[str]] | None = None
) -> Iterator[ClipInput]:
    """Yield the texts of each record, those that are not blank; none is ``ok`` with the code ``no_text``.

    Args:
        records: The records.
        fields: The text fields of a record that are wanted.
        recognized: Field -> the text that was recognised in each clip, in the order of the records; it stands
            in where the record's own field is blank.
    """
    found = {name: iter(texts) for name, texts in (recognized or {}).items()}
    for record in records:
        own = {name: str(getattr(record, name)) for name in fields}
        texts = {name: text for name, text in own.items() if text.strip()}
        for name, others in found.items():
            other = next(others)
            if name in fields and name not in texts and other.strip():
                texts[name] = other
        outcome = Outcome(record.clip_id, "ok", "" if texts else "no_text")
        yield ClipInput(outcome, texts or None, digest_of(texts))


def media_inputs(clips: Iterable[OpenedClip], modality: str) -> Iterator[ClipInput]:
    """Yield one modality of each decoded clip: frames, motion, cover or audio."""
    read = {"frames": _frames_input, "motion": _motion_input, "audio": _audio_input, "cover": _cover_input}[modality]
    for clip in clips:
        digest = source_digest(clip.about)
        try:
            outcome, value, expected = read(clip)
        except ShardError as error:
            outcome, value, expected = _changed(clip.outcome, "failed", "unreadable_clip", str(error)), None, 0
        yield ClipInput(outcome, value, digest, expected)


def _frames_input(clip: OpenedClip) -> tuple[Outcome, Any, int]:
    return _pictures_input(clip, int(clip.about.get("expected_frames", 0)), motion=False)


def _motion_input(clip: OpenedClip) -> tuple[Outcome, Any, int]:
    # How many windows a whole clip has is the extractor's affair.
    return _pictures_input(clip, 0, motion=True)


def _pictures_input(clip: OpenedClip, expected: int, *, motion: bool) -> tuple[Outcome, Any, int]:
    outcome = _video_outcome(clip)
    if clip.matroska is None:
        return outcome, None, 0
    pictures = stored_pictures(clip.matroska, motion=motion)
    first = next(pictures, None)
    if first is None:
        return _changed(clip.outcome, "failed", "no_video_stream"), None, expected
    return outcome, itertools.chain([first], pictures), expected


def _audio_input(clip: OpenedClip) -> tuple[Outcome, Any, int]:
    if clip.matroska is None:
        return _video_outcome(clip), None, 0
    sound = stored_sound(clip.matroska)
    return _changed(clip.outcome, "ok", "" if sound else "no_audio"), sound, 0


def _cover_input(clip: OpenedClip) -> tuple[Outcome, Any, int]:
    if clip.cover is not None:
        return _changed(clip.outcome, "ok"), [StoredCover(clip.cover.read())], 1
    code = next((code for code in clip.about.get("codes", ()) if code.startswith("cover_")), "")
    if code:
        return _changed(clip.outcome, "failed", code), None, 1
    return _changed(clip.outcome, "ok", "no_cover"), None, 0


def _video_outcome(clip: OpenedClip) -> Outcome:
    """Return how decoding the video went; a cover that failed is no matter of frames and sound."""
    codes = [code for code in clip.about.get("codes", ()) if not code.startswith("cover_")]
    if not codes:
        return _changed(clip.outcome, "ok", "" if clip.matroska is not None else "no_video")
    status: Status = "failed" if clip.matroska is None else "partial"
    return _changed(clip.outcome, status, leading_code(codes), clip.outcome.detail)


def _changed(outcome: Outcome, status: Status, code: str = "", detail: str = "") -> Outcome:
    """Return another outcome of the same clip."""
    return Outcome(outcome.clip_id, status, code, detail)
