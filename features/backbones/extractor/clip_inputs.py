"""The inputs of extractors and recognizers: one stream of each decoded clip, or the texts of each record."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.base.errors import ShardError
from features.base.modalities import MODALITIES
from features.base.outcomes import SILENT_CODES, Outcome, leading_code
from features.formats.matroska import StoredCover, frame_streams, stored_pictures, stored_sound
from features.formats.reuse import digest_of, source_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from features.base.modalities import Modality
    from features.base.outcomes import Status
    from features.formats.records import ClipRecord
    from features.formats.tar_shard import OpenedClip


@dataclass(frozen=True)
class ClipInput:
    """The input of a model from one clip.

    Attributes:
        outcome: The outcome before the network: an absent modality is ``ok`` with a code.
        value: Pictures, sound or texts, ``None`` when there is none.
        digest: The sha256 of what decides them, settings apart.
        expected: Rows that a whole clip would give; 0 = as many as the network gives.
    """

    outcome: Outcome
    value: Any  # Iterable[Picture], Sound or Mapping[str, str], as the extractor of the modality takes
    digest: bytes
    expected: int = 0


def text_inputs(
    records: Iterable[ClipRecord], fields: Sequence[str], recognized: Mapping[str, Iterable[str]] | None = None
) -> Iterator[ClipInput]:
    """Yield the texts of each record, those that are not blank; none is ``ok`` with the code ``no_text``.

    Args:
        records: The records.
        fields: The text fields of a record that are wanted.
        recognized: Field -> the text that was recognised in each clip, in the order of the records; it is
            used where the record's own field is blank.
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
    """Yield what a modality reads of each decoded clip."""
    entry = MODALITIES[modality]
    read = _READERS[entry.stream]
    for clip in clips:
        try:
            outcome, value, expected = read(clip, entry)
        except ShardError as error:
            outcome, value, expected = _changed(clip.outcome, "failed", "unreadable_clip", str(error)), None, 0
        yield ClipInput(outcome, value, source_digest(clip.about), expected)


def _pictures(clip: OpenedClip, entry: Modality) -> tuple[Outcome, Any, int]:
    outcome = _video_outcome(clip)
    if clip.matroska is None:
        return outcome, None, 0
    # How many windows a whole clip has depends on the extractor.
    fact = f"expected_{entry.name}_frames" if entry.rate_setting else "expected_frames"
    expected = 0 if entry.kind == "video" else int(clip.about.get(fact, 0))
    position = frame_streams(clip.about).get(entry.name)
    pictures = iter(()) if position is None else stored_pictures(clip.matroska, position)
    first = next(pictures, None)
    if first is None:
        return _without_pictures(clip, outcome, entry), None, expected
    return outcome, itertools.chain([first], pictures), expected


def _without_pictures(clip: OpenedClip, outcome: Outcome, entry: Modality) -> Outcome:
    """Return the outcome of a clip with sound alone: it never had a picture, or its pictures could not be decoded."""
    code = next((code for code in clip.about.get("codes", ()) if code in entry.absent_codes), "")
    if code:
        return _changed(outcome, "ok", code)
    return _changed(outcome, "failed", outcome.code or "no_frames", outcome.detail or "no frame was stored")


def _sound(clip: OpenedClip, _: Modality) -> tuple[Outcome, Any, int]:
    if clip.matroska is None:
        return _video_outcome(clip), None, 0
    sound = stored_sound(clip.matroska)
    codes = [code for code in clip.about.get("codes", ()) if code in SILENT_CODES]
    return _changed(clip.outcome, "ok", "" if sound else [*codes, "no_audio"][0]), sound, 0


def _cover(clip: OpenedClip, _: Modality) -> tuple[Outcome, Any, int]:
    if clip.cover is not None:
        return _changed(clip.outcome, "ok"), [StoredCover(clip.cover.read())], 1
    code = next((code for code in clip.about.get("codes", ()) if code.startswith("cover_")), "")
    if code:
        return _changed(clip.outcome, "failed", code), None, 1
    return _changed(clip.outcome, "ok", "no_cover"), None, 0


# Stream of a decoded clip -> outcome, value and expected rows of a clip.
_READERS = {"frames": _pictures, "sound": _sound, "cover": _cover}


def _video_outcome(clip: OpenedClip) -> Outcome:
    """Return how decoding the picture went; a cover that failed and sound that is missing do not count."""
    found = [code for code in clip.about.get("codes", ()) if not code.startswith("cover_")]
    codes = [code for code in found if code not in SILENT_CODES or clip.matroska is None]
    if not codes:
        return _changed(clip.outcome, "ok", "" if clip.matroska is not None else "no_video")
    status: Status = "failed" if clip.matroska is None else "partial"
    return _changed(clip.outcome, status, leading_code(codes), clip.outcome.detail)


def _changed(outcome: Outcome, status: Status, code: str = "", detail: str = "") -> Outcome:
    """Return another outcome of the same clip."""
    return Outcome(outcome.clip_id, status, code, detail)
