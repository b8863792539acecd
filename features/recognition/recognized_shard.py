"""Shards of recognised text: a line with what made it, then one line of JSON a clip."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO

from features.backbones.extractor.shard_loop import run_shard
from features.base.errors import ShardError
from features.base.outcomes import STATUS_NUMBERS, Outcome
from features.formats.records import MADE_BY
from features.formats.reuse import ReusableShard
from features.recognition.recognizer import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from features.backbones.extractor.clip_inputs import ClipInput
    from features.backbones.extractor.shard_loop import ShardRun
    from features.base.outcomes import Status
    from features.recognition.recognizer import Recognition, Recognizer

# Equal rows give equal bytes; what JSON cannot express (NaN) is refused.
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False)
TIME_DIGITS = 3
CONFIDENCE_DIGITS = 4


@dataclass(frozen=True)
class RecognizedText:
    """One clip of a shard of recognised text.

    Attributes:
        clip_id: The clip.
        status: ``ok``, ``partial`` or ``failed``.
        code: Why there is no text, or not all of it; ``""`` for a plain success.
        text: The whole text, ``""`` for none.
        segments: Its pieces with their times, to the millisecond.
        input_digest: The sha256 of what decides the text, settings apart, in hex digits.
    """

    clip_id: str
    status: Status
    code: str
    text: str
    segments: tuple[Segment, ...]
    input_digest: str

    def to_line(self) -> str:
        """Return the row as one line of canonical JSON, line break included."""
        return _ENCODER.encode(asdict(self)) + "\n"


# Any: whether pictures or sound go in is known at run time only.
def recognize_shard(
    clips: Iterable[ClipInput],
    recognizer: Recognizer[Any],
    path: Path,
    made_by: Mapping[str, str],
    on_clip: Callable[[], None] = lambda: None,
    reusable: ReusableShard[RecognizedText] | None = None,
) -> ShardRun:
    """Write the recognised text of ``clips`` to ``path``, one line each in their order, and return its outcomes.

    A clip without the stream keeps its outcome (``no_audio``, ...); one in which nothing is recognised is ``ok`` with
    the code ``no_text_found``; one that cannot be read is ``failed`` with ``unreadable_clip``.

    Args:
        clips: Each is done with when the next one is asked for, in another thread.
        recognizer: The model.
        path: The new file.
        made_by: What makes the shard; it is the first line.
        on_clip: Called after each clip.
        reusable: Rows of older shards made by the same, which are copied.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_ENCODER.encode({MADE_BY: dict(made_by)}) + "\n")
        older = ReusableShard() if reusable is None else reusable
        return run_shard(clips, recognizer, recognizer.recognize, _TextSink(file), older, on_clip)


class _TextSink:
    """Writes recognised text as lines of JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, clip: ClipInput, result: Recognition) -> Outcome:
        outcome = _outcome(clip, result)
        segments = tuple(_rounded(segment) for segment in result.segments)
        digest = clip.digest.hex()
        row = RecognizedText(outcome.clip_id, outcome.status, outcome.code, result.text, segments, digest)
        self._file.write(row.to_line())
        return outcome

    def copy(self, clip: ClipInput, row: RecognizedText) -> Outcome:
        self._file.write(row.to_line())
        return Outcome(clip.outcome.clip_id, "ok", row.code)


def reusable_texts(paths: Iterable[Path], made_by: Mapping[str, str]) -> ReusableShard[RecognizedText]:
    """Return the clips of older shards whose text was recognised without any complaint.

    Args:
        paths: The older shards. One that was made by anything else, or that is damaged, has nothing to reuse: its clips
            are read again.
        made_by: What makes the new shard.
    """
    reusable: ReusableShard[RecognizedText] = ReusableShard()
    for path in paths:
        try:
            rows = list(read_recognized(path)) if read_made_by(path) == made_by else []
            whole = [(row, bytes.fromhex(row.input_digest)) for row in rows if row.status == "ok"]
        except (ShardError, OSError, ValueError):
            continue
        for row, digest in whole:
            reusable.add(row.clip_id, digest, row)
    return reusable


def read_made_by(path: Path) -> dict[str, str]:
    """Return what made a shard of recognised text.

    Raises:
        ShardError: Its first line does not state it.
    """
    with path.open(encoding="utf-8") as file:
        try:
            made_by = json.loads(file.readline())[MADE_BY]
        except (ValueError, TypeError, KeyError) as error:
            raise ShardError(
                f"{path} does not begin with what made it ({error!r}): delete the file and run again"
            ) from error
    return {str(name): str(value) for name, value in made_by.items()}


def read_recognized(path: Path) -> Iterator[RecognizedText]:
    """Yield the rows of a shard of recognised text, in order.

    Raises:
        ShardError: A line is not what ``recognize_shard`` writes.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(itertools.islice(file, 1, None), start=2):
            try:
                yield _row(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ShardError(
                    f"{path} line {number} is no row of recognised text ({error!r}): delete the file and run again"
                ) from error


def _row(values: dict[str, Any]) -> RecognizedText:
    segments = tuple(Segment(**segment) for segment in values.pop("segments"))
    if values["status"] not in STATUS_NUMBERS:
        raise ValueError(f"status {values['status']!r}")
    return RecognizedText(segments=segments, **values)


def _outcome(clip: ClipInput, found: Recognition) -> Outcome:
    outcome = clip.outcome
    if found.problem:
        return Outcome(outcome.clip_id, "failed", "unreadable_clip", found.problem)
    if found.text or outcome.code or outcome.status != "ok":
        return outcome
    return Outcome(outcome.clip_id, "ok", "no_text_found")


def _rounded(segment: Segment) -> Segment:
    confidence = None if segment.confidence is None else round(segment.confidence, CONFIDENCE_DIGITS)
    times = round(segment.start_seconds, TIME_DIGITS), round(segment.end_seconds, TIME_DIGITS)
    return Segment(*times, segment.text, confidence)
