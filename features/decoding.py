"""One downloaded clip -> its sampled frames and sound as one small Matroska file, its cover as a JPEG."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from features.clipfile import measure
from features.errors import ClipError, ShardError
from features.ffmpeg import (
    COMPLETE_FRACTION,
    DecodeConfig,
    clip_command,
    cover_command,
    find_ffmpeg,
)
from features.outcomes import Outcome, Status
from features.parallel import num_cpus, ordered_map
from features.process import run
from features.tarshard import DecodedClip, TarShardWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from features.download import DownloadedClip, MediaFile

DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)", re.MULTILINE)
# The stored frames are JPEGs of at most some hundred kilobytes.
MAX_CLIP_BYTES = 1 << 30
MAX_COVER_BYTES = 1 << 26


def decode_shard(
    clips: Iterable[DownloadedClip],
    config: DecodeConfig,
    folders: Mapping[str, Path],
    path: Path,
    on_clip: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Write the decoded shard of ``clips`` to ``path`` and return one outcome a clip.

    Raises:
        ToolError: ffmpeg cannot be run.
    """
    binary = find_ffmpeg(config.ffmpeg)
    outcomes: list[Outcome] = []
    with TarShardWriter(path) as writer:
        for decoded in ordered_map(
            lambda clip: decode_clip(clip, config, binary, folders), clips, config.workers or num_cpus()
        ):
            writer.add(decoded)
            outcomes.append(decoded.outcome)
            on_clip()
    return outcomes


def decode_clip(clip: DownloadedClip, config: DecodeConfig, binary: str, folders: Mapping[str, Path]) -> DecodedClip:
    """Return what could be decoded of one clip, whatever state its files are in.

    Args:
        clip: Its row of the Download stage.
        config: The settings.
        binary: The ffmpeg to run.
        folders: Where the row's paths start, by the row's ``where``.

    Raises:
        ToolError: ffmpeg itself cannot be run.
    """
    problems = list(clip.problems)
    about: dict[str, Any] = {"cover": False}
    matroska: bytes | None = None
    if clip.video is not None:
        try:
            _check_unchanged(clip.video, folders)
            matroska, found, problem = _decode_video(str(clip.video.locate(folders)), config, binary)
            about.update(found)
            problems += [problem] if problem else []
        except ClipError as error:
            problems.append((error.code, error.detail))
    cover: bytes | None = None
    if clip.cover is not None:
        try:
            _check_unchanged(clip.cover, folders)
            cover = _decode_cover(str(clip.cover.locate(folders)), clip.cover.kind, config, binary)
            about["cover"] = True
        except ClipError as error:
            problems.append((f"cover_{error.code}", error.detail))
    about["codes"] = [code for code, _ in problems]
    return DecodedClip(_outcome(clip.outcome.clip_id, matroska, problems), matroska, cover, about)


def _check_unchanged(file: MediaFile, folders: Mapping[str, Path]) -> None:
    try:
        size = file.locate(folders).stat().st_size
    except OSError as error:
        raise ClipError("file_missing", f"{file.path} has gone since Download saw it") from error
    if size != file.bytes:
        raise ClipError("changed_since_download", f"{size:,} bytes, Download saw {file.bytes:,}: force Download")


def _outcome(clip_id: str, matroska: bytes | None, problems: list[tuple[str, str]]) -> Outcome:
    if not problems:
        return Outcome(clip_id, "ok", "" if matroska is not None else "no_video")
    status: Status = "partial" if matroska is not None or all(c.startswith("cover_") for c, _ in problems) else "failed"
    code, detail = problems[0]
    return Outcome(clip_id, status, code, "; ".join(text for _, text in problems) if problems[1:] else detail)


def _decode_video(path: str, config: DecodeConfig, binary: str) -> tuple[bytes, dict[str, Any], tuple[str, str] | None]:
    """Return the Matroska bytes, facts about them, and what is missing if they are not everything."""
    done = run(
        clip_command(binary, path, config),
        timeout_seconds=config.timeout_seconds,
        max_stdout_bytes=MAX_CLIP_BYTES,
    )
    log = done.stderr.replace(f"file:{path}", "the file")
    if not done.stdout:
        raise ClipError(*_reason(log))
    try:
        stored = measure(done.stdout)
    except ShardError as error:
        raise ClipError("no_usable_stream", str(error)) from error
    num_frames = stored.num_frames
    if not num_frames and not stored.audio_seconds:
        raise ClipError(*_reason(log))
    duration = _duration_seconds(log)
    expected = _expected_frames(duration, config)
    about = {
        "duration_seconds": duration,
        "num_frames": num_frames,
        "expected_frames": expected,
        "audio_seconds": round(stored.audio_seconds, 3),
    }
    if done.returncode != 0 and num_frames:
        return done.stdout, about, ("decode_errors", f"ffmpeg ended with {done.returncode}; {_last_line(log)}")
    if not num_frames:
        return done.stdout, about, ("no_video_stream", "only sound could be decoded")
    # One frame of slack: sound that is a little longer than the picture is no damage.
    if num_frames < min(COMPLETE_FRACTION * expected, expected - 1):
        return (
            done.stdout,
            about,
            ("truncated", f"{num_frames} of {expected} frames; {_last_line(log)}"),
        )
    return done.stdout, about, None


def _decode_cover(path: str, kind: str, config: DecodeConfig, binary: str) -> bytes:
    done = run(
        cover_command(binary, path, kind, config),
        timeout_seconds=config.timeout_seconds,
        max_stdout_bytes=MAX_COVER_BYTES,
    )
    if not done.stdout:
        raise ClipError(*_reason(done.stderr.replace(f"file:{path}", "the file")))
    return done.stdout


def _duration_seconds(log: str) -> float | None:
    match = DURATION.search(log)
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _expected_frames(duration: float | None, config: DecodeConfig) -> int:
    if duration is None:
        return 1
    # Times 0, 1/r, 2/r, ... below the duration, which ffmpeg states in hundredths.
    num_times = math.ceil(round(min(duration, config.max_seconds) * config.frames_per_second, 6))
    return max(1, min(config.max_frames, num_times))


# Text in ffmpeg's log -> code, the first match counts.
_REASONS = (
    ("does not contain any stream", "no_video_stream"),
    ("matches no streams", "no_video_stream"),
    ("Format not on whitelist", "format_not_allowed"),
    ("not in allowed", "format_not_allowed"),
    ("moov atom not found", "invalid_data"),
    ("Picture size", "too_many_pixels"),
    ("Invalid data found", "invalid_data"),
)


def _reason(log: str) -> tuple[str, str]:
    for text, code in _REASONS:
        line = next((line for line in log.splitlines() if text in line), "")
        if line:
            return code, _without_prefix(line)
    return "decode_failed", _last_line(log)


def _last_line(log: str) -> str:
    """Return the last line of ffmpeg's log that says something."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|invalid|not|fail|missing", line, re.IGNORECASE)]
    return _without_prefix((telling or lines or ["ffmpeg said nothing"])[-1])


def _without_prefix(line: str) -> str:
    """Return a line without the names of the parts that speak, since their addresses differ each time."""
    return re.sub(r"\[[^\[\]]* @ 0x[0-9a-f]+\]\s*", "", line)
