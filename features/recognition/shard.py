"""One shard of clips through a recognizer, and back: one line of JSON a clip."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features.errors import ShardError
from features.outcomes import STATUS_NUMBERS, Outcome
from features.recognition.protocol import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from features.clip_inputs import ClipInput
    from features.outcomes import Status
    from features.recognition.protocol import Recognition, Recognizer

# Equal rows give equal bytes; what no JSON holds (NaN) is refused.
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
    """

    clip_id: str
    status: Status
    code: str
    text: str
    segments: tuple[Segment, ...]

    def to_line(self) -> str:
        """Return the row as one line of canonical JSON, line break included."""
        return _ENCODER.encode(asdict(self)) + "\n"


# Any: whether pictures or sound go in is known at run time only.
def recognize_shard(
    clips: Iterable[ClipInput], recognizer: Recognizer[Any], path: Path, on_clip: Callable[[], None] = lambda: None
) -> tuple[Outcome, ...]:
    """Write the recognised text of ``clips`` to ``path``, one line each in their order, and return their outcomes.

    A clip without the stream keeps its outcome (``no_audio``, ...); one in which nothing is recognised is ``ok`` with
    the code ``no_text_found``; one that cannot be read is ``failed`` with ``unreadable_clip``.
    """
    waiting: deque[ClipInput] = deque()
    outcomes: list[Outcome] = []

    def values() -> Iterator[Any]:
        for clip in clips:
            waiting.append(clip.without_value())
            yield clip.value

    with path.open("w", encoding="utf-8", newline="\n") as file:
        for found in recognizer.recognize(values()):
            outcome = _outcome(waiting.popleft(), found)
            segments = tuple(_rounded(segment) for segment in found.segments)
            row = RecognizedText(outcome.clip_id, outcome.status, outcome.code, found.text, segments)
            file.write(row.to_line())
            outcomes.append(outcome)
            on_clip()
    return tuple(outcomes)


def read_recognized(path: Path) -> Iterator[RecognizedText]:
    """Yield the rows of a shard of recognised text, in order.

    Raises:
        ShardError: A line is not what ``recognize_shard`` writes.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
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
