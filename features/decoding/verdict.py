"""What is wrong with a decoded file: code and detail of each problem, in words for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.decoding.diagnostics import sound_is_cut, what_is_missing
from features.decoding.input_streams import input_streams
from features.decoding.messages import last_line, reason
from features.decoding.plan import NO_PICTURE, stream_problem

if TYPE_CHECKING:
    from features.decoding.config import DecodeConfig
    from features.decoding.diagnostics import StoredStreams
    from features.decoding.plan import Attempt, Plan

Problem = tuple[str, str]

# Codes of a stream that is there and holds nothing.
_ABSENT_CODES = frozenset({"sound_empty", "no_video_stream"})

# What the codes of ffmpeg's own words mean.
_WORDS = {
    "no_video_stream": "the file holds neither a picture nor sound",
    "invalid_data": "the file is damaged or not complete",
    "too_many_pixels": "the picture is larger than max_pixels",
    "too_much_memory": "decoding needs more memory than max_process_megabytes",
    "format_not_supported": "this ffmpeg does not read the kind of the file",
}


def problems_of(
    attempt: Attempt, plan: Plan, counted: StoredStreams, duration: float | None, config: DecodeConfig
) -> list[Problem]:
    """Return what is wrong with a result that holds frames or sound, or both.

    Args:
        attempt: The result.
        plan: Its plan.
        counted: The streams whose frames are compared with the duration.
        duration: Duration that the header states, in seconds.
        config: The settings.
    """
    problems = _of_streams(attempt, plan)
    search = what_is_missing if counted.num_frames else sound_is_cut
    missing = search(counted, duration, config, attempt.log)
    is_explained = any(code == "sound_not_decodable" for code, _ in problems)
    if attempt.returncode != 0 and counted.num_frames and not is_explained:
        missing = (
            "decode_errors",
            f"a part could not be decoded; ffmpeg ended with {attempt.returncode}: {last_line(attempt.log)}",
        )
    return [*problems, *([missing] if missing else [])]


def failure(attempt: Attempt, plan: Plan) -> ClipError:
    """Return the error of a result that holds nothing."""
    code, detail = reason(attempt.log)
    problems = _of_streams(attempt, plan)
    if not attempt.is_refused and not problems and attempt.output.tell():
        return ClipError("no_usable_stream", f"no picture and no sound could be decoded; {last_line(attempt.log)}")
    if attempt.is_refused or not problems:
        words = _WORDS.get(code, "")
        return ClipError(code, f"{words}; ffmpeg says: {detail}" if words else detail)
    # By the alphabet: what is encrypted comes first, then the picture.
    found = min((found for found, _ in problems if found not in _ABSENT_CODES), default="no_usable_stream")
    return ClipError(found, "; ".join(text for _, text in problems))


def _of_streams(attempt: Attempt, plan: Plan) -> list[Problem]:
    """Return what is wrong with a picture without a frame and with sound without a sample."""
    streams, stored = input_streams(attempt.log), attempt.stored
    problems = list(plan.problems)
    if plan.picture and not (stored is not None and stored.num_frames):
        if streams.pictures:
            problems.append(stream_problem(attempt, streams.pictures[0]))
        elif attempt.has_content:
            problems.append(NO_PICTURE)
    if plan.sound and not (stored is not None and stored.audio_seconds) and streams.sounds[plan.sound_track :]:
        problems.append(stream_problem(attempt, streams.sounds[plan.sound_track]))
    return problems
