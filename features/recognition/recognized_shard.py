"""One shard of clips through a recognizer, and back: a line that tells what made it, then one line of JSON a clip."""

from __future__ import annotations

import itertools
import json
from collections import deque
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features.base.errors import ShardError
from features.base.outcomes import STATUS_NUMBERS, Outcome
from features.base.prefetch import close_iterator
from features.recognition.recognizer import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from features.backbones.extractor.clip_inputs import ClipInput
    from features.base.outcomes import Status
    from features.recognition.recognizer import Recognition, Recognizer

# Equal rows give equal bytes; what no JSON holds (NaN) is refused.
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False)
# The one key of the first line.
MADE_BY = "made_by"
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
    before: RecognizedBefore | None = None,
) -> tuple[Outcome, ...]:
    """Write the recognised text of ``clips`` to ``path``, one line each in their order, and return their outcomes.

    A clip without the stream keeps its outcome (``no_audio``, ...); one in which nothing is recognised is ``ok`` with
    the code ``no_text_found``; one that cannot be read is ``failed`` with ``unreadable_clip``.

    Args:
        clips: Each is done with when the next one is asked for.
        recognizer: The model.
        path: The new file.
        made_by: What makes the shard; it stands in the first line.
        on_clip: Called after each clip.
        before: An older shard made by the same; what it holds is copied.
    """
    known = RecognizedBefore((), made_by) if before is None else before
    waiting: deque[ClipInput] = deque()
    outcomes: list[Outcome] = []

    def values() -> Iterator[Any]:
        for clip in clips:
            waiting.append(clip.without_value())
            yield None if known.find(clip) else clip.value

    with ExitStack() as stack:
        stack.callback(close_iterator, clips)
        file = stack.enter_context(path.open("w", encoding="utf-8", newline="\n"))
        file.write(_ENCODER.encode({MADE_BY: dict(made_by)}) + "\n")
        recognized = recognizer.recognize(values())
        stack.callback(close_iterator, recognized)
        for found in recognized:
            clip = waiting.popleft()
            row = known.find(clip)
            known.num_taken += row is not None
            outcome = _outcome(clip, found) if row is None else Outcome(row.clip_id, "ok", row.code)
            file.write((row or _row_of(outcome, found, clip)).to_line())
            outcomes.append(outcome)
            on_clip()
    return tuple(outcomes)


class RecognizedBefore:
    """The clips of older shards whose text was recognised without any complaint.

    Args:
        paths: The older shards. One that was made by anything else, or that is damaged, gives nothing.
        made_by: What makes the new shard.
    """

    def __init__(self, paths: Iterable[Path], made_by: Mapping[str, str]) -> None:
        self._rows: dict[tuple[str, str], RecognizedText] = {}
        self.num_taken = 0
        for path in paths:
            try:
                if read_made_by(path) == made_by:
                    rows = [row for row in read_recognized(path) if row.status == "ok"]
                    self._rows.update({(row.clip_id, row.input_digest): row for row in rows})
            except (ShardError, OSError):
                # Nothing is lost: the clips are read again.
                continue

    def find(self, clip: ClipInput) -> RecognizedText | None:
        """Return the row that recognising a clip again would give, ``None`` where that is not known."""
        is_sound = clip.outcome.status == "ok"
        return self._rows.get((clip.outcome.clip_id, clip.digest.hex())) if is_sound else None

    def __len__(self) -> int:
        """Return how many clips it holds."""
        return len(self._rows)


def read_made_by(path: Path) -> dict[str, str]:
    """Return what made a shard of recognised text.

    Raises:
        ShardError: Its first line does not say it.
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


def _row_of(outcome: Outcome, found: Recognition, clip: ClipInput) -> RecognizedText:
    segments = tuple(_rounded(segment) for segment in found.segments)
    return RecognizedText(outcome.clip_id, outcome.status, outcome.code, found.text, segments, clip.digest.hex())


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
