"""One shard of clips through one frozen network: decoded clips or texts in, an embedding shard out."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.clipfile import read_cover, read_frames, read_waveform
from features.errors import ShardError
from features.extractors.protocol import ClipFeatures
from features.outcomes import Outcome
from features.shards import ShardWriter, to_float16
from features.tarshard import read_tar_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from features.extractors.protocol import Extractor
    from features.records import ClipRecord
    from features.tarshard import DecodedClip

# Modalities whose input is the text of the record; all others read decoded shards.
TEXT_MODALITIES = ("text",)


@dataclass(frozen=True)
class ClipInput:
    """What an extractor gets of one clip.

    Attributes:
        outcome: How things stand before the network: an absent modality is ``ok`` with a code.
        value: Images, sound or text, ``None`` when there is none.
        expected: Rows that a whole clip would give; 0 = as many as the network gives.
    """

    outcome: Outcome
    value: Any  # ImageSequence, Waveform or str, as the extractor of the modality takes
    expected: int = 0


@dataclass(frozen=True)
class Extraction:
    """The account of one shard.

    Attributes:
        outcomes: One a clip.
        input_seconds: Wall time spent on reading and decoding the inputs.
        total_seconds: Wall time of everything.
    """

    outcomes: tuple[Outcome, ...]
    input_seconds: float
    total_seconds: float


def extract_shard(
    clips: Iterable[ClipInput],
    extractor: Extractor[Any],
    path: Path,
    attributes: Mapping[str, str | int],
    on_clip: Callable[[], None] = lambda: None,
) -> Extraction:
    """Write the embedding shard of ``clips`` to ``path`` and return its account.

    Features that are not finite are left out and the clip is ``failed`` with ``non_finite_features``.
    """
    started = time.perf_counter()
    waiting: deque[ClipInput] = deque()
    inputs = _Timed(clips, waiting)
    outcomes: list[Outcome] = []
    has_tokens = attributes.get("modality") in TEXT_MODALITIES
    with ShardWriter(path, extractor.dim, attributes, has_tokens=has_tokens) as writer:
        for found in extractor.extract(inputs):
            clip = waiting.popleft()
            outcome, kept = _checked(clip, found)
            writer.add(outcome, kept, expected=clip.expected or len(kept.features))
            outcomes.append(outcome)
            on_clip()
    return Extraction(tuple(outcomes), inputs.seconds, time.perf_counter() - started)


def _checked(clip: ClipInput, found: ClipFeatures) -> tuple[Outcome, ClipFeatures]:
    if np.isfinite(to_float16(found.features)).all():
        return clip.outcome, found
    outcome = Outcome(
        clip.outcome.clip_id, "failed", "non_finite_features", "the network gave values float16 cannot hold"
    )
    none = ClipFeatures(found.features[:0], found.time_seconds[:0], None)
    return outcome, none


class _Timed:
    """Hands the values to the extractor, remembers the clips in flight, and times their making."""

    def __init__(self, clips: Iterable[ClipInput], waiting: deque[ClipInput]) -> None:
        self._clips = clips
        self._waiting = waiting
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        iterator = iter(self._clips)
        while True:
            started = time.perf_counter()
            clip = next(iterator, None)
            self.seconds += time.perf_counter() - started
            if clip is None:
                return
            self._waiting.append(ClipInput(clip.outcome, None, clip.expected))
            yield clip.value


def text_inputs(records: Iterable[ClipRecord]) -> Iterator[ClipInput]:
    """Yield the text of each record; none is ``ok`` with the code ``no_text``."""
    for record in records:
        text = record.text()
        yield ClipInput(Outcome(record.clip_id, "ok", "" if text else "no_text"), text or None)


def media_inputs(path: Path, modality: str) -> Iterator[ClipInput]:
    """Yield one modality of each clip of a decoded shard."""
    read = {"frames": _frames_input, "audio": _audio_input, "cover": _cover_input}[modality]
    for clip in read_tar_shard(path):
        try:
            found = read(clip)
        except ShardError as error:
            # Its bytes are what Decode wrote and the checksum holds: this clip alone cannot be used.
            found = ClipInput(Outcome(clip.outcome.clip_id, "failed", "unreadable_clip", str(error)), None)
        yield found


def _frames_input(clip: DecodedClip) -> ClipInput:
    expected = int(clip.about.get("expected_frames", 0))
    if clip.matroska is None:
        return ClipInput(clip.outcome, None)
    frames = read_frames(clip.matroska)
    # A cover that failed is no matter of the frames.
    ours = not clip.outcome.code.startswith("cover_")
    outcome = clip.outcome if ours else Outcome(clip.outcome.clip_id, "ok")
    if frames is None:
        return ClipInput(Outcome(outcome.clip_id, "failed", "no_video_stream"), None, expected)
    return ClipInput(outcome, frames, expected)


def _audio_input(clip: DecodedClip) -> ClipInput:
    clip_id = clip.outcome.clip_id
    if clip.matroska is None:
        return ClipInput(clip.outcome, None)
    waveform = read_waveform(clip.matroska)
    if waveform is None:
        return ClipInput(Outcome(clip_id, "ok", "no_audio"), None)
    return ClipInput(Outcome(clip_id, "ok"), waveform)


def _cover_input(clip: DecodedClip) -> ClipInput:
    clip_id = clip.outcome.clip_id
    if clip.cover is not None:
        return ClipInput(Outcome(clip_id, "ok"), read_cover(clip.cover), 1)
    code = next((code for code in clip.about.get("codes", ()) if code.startswith("cover_")), "")
    if code:
        return ClipInput(Outcome(clip_id, "failed", code), None, 1)
    return ClipInput(Outcome(clip_id, "ok", "no_cover"), None)
