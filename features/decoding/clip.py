"""One downloaded clip -> its sampled frames and sound as one small Matroska file, its cover as a JPEG."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from features.base.errors import ClipError, ShardError
from features.base.outcomes import SILENT_CODES, Outcome, Status, leading_code
from features.decoding.colour import Colours, guessed_colours
from features.decoding.commands import clip_command, hdr_facts
from features.decoding.covers import cover_command, cover_form, joined_pixels
from features.decoding.diagnostics import (
    believed_seconds,
    duration_seconds,
    expected_dense_frames,
    expected_frames,
    graph_inputs,
    measure,
    num_picture_packets,
    picture_end_seconds,
)
from features.decoding.edit_lists import EmptyEdits, empty_edits, stated_picture_seconds
from features.decoding.encryption import encrypted_streams, scrambled_pids
from features.decoding.frame_selection import choose_positions, on_screen, sampled_rate, select_frames, times_below
from features.decoding.messages import plain_log, reason
from features.decoding.mp4_boxes import picture_entry
from features.decoding.plan import MAX_COMMANDS, Attempt, Plan, first_plan, header_asks_for_more, revised_plan
from features.decoding.sound import lost_sound, place_sound, sound_report
from features.decoding.verdict import failure, problems_of
from features.decoding.work import ClipDecoder, ClipWork

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from features.decoding.config import DecodeConfig
    from features.decoding.diagnostics import StoredStreams
    from features.decoding.verdict import Problem
    from features.downloads.download_rows import DownloadedClip, MediaFile

# Twice the size of the frames of a two-hour clip at 2 fps.
MAX_CLIP_BYTES = 1 << 30
MAX_COVER_BYTES = 1 << 26


@dataclass(frozen=True)
class DecodedClip:
    """The decoded parts of one clip.

    Attributes:
        outcome: How decoding went.
        matroska: Frames and sound, ``None`` when nothing could be decoded.
        cover: JPEG, ``None`` when there is none.
        about: Facts for a person, for later stages and for a retry.
        cpu_seconds: Processor time of the ffmpeg processes that ended by themselves.
    """

    outcome: Outcome
    matroska: IO[bytes] | None
    cover: IO[bytes] | None
    about: Mapping[str, Any]  # JSON values
    cpu_seconds: float


def decode_clip(clip: DownloadedClip, decoder: ClipDecoder) -> DecodedClip:
    """Return the decoded parts of one clip; damaged files become problems of its outcome.

    Args:
        clip: Its row of the Download stage.
        decoder: The settings and folders.

    Raises:
        ToolError: ffmpeg itself cannot be run.
    """
    problems = list(clip.problems)
    work = ClipWork(decoder)
    matroska = cover = None
    if clip.video is not None:
        try:
            matroska, found = _decode_video(clip.video, work)
            problems += found
        except ClipError as error:
            problems.append((error.code, error.detail))
    if clip.cover is not None:
        try:
            cover = _decode_cover(clip.cover, work)
        except ClipError as error:
            problems.append((f"cover_{error.code}", error.detail))
    decoder.release(spool for spool in work.spools if spool not in {matroska, cover})
    about = {
        **work.facts,
        **sources(clip),
        "cover": cover is not None,
        "codes": [code for code, _ in problems],
    }
    return DecodedClip(_outcome(clip.outcome.clip_id, matroska, problems), matroska, cover, about, work.cpu_seconds)


def sources(clip: DownloadedClip) -> dict[str, Any]:
    """Return the digests and problems that decide the result of a clip beside settings and ffmpeg, as JSON values."""
    return {
        "video_sha256": clip.video.sha256 if clip.video else "",
        "cover_sha256": clip.cover.sha256 if clip.cover else "",
        "download_problems": [[code, detail] for code, detail in clip.problems],
    }


def _outcome(clip_id: str, matroska: IO[bytes] | None, problems: list[tuple[str, str]]) -> Outcome:
    if not problems:
        return Outcome(clip_id, "ok", "" if matroska is not None else "no_video")
    status: Status = "partial" if matroska is not None or all(c.startswith("cover_") for c, _ in problems) else "failed"
    if matroska is not None and all(code in SILENT_CODES for code, _ in problems):
        status = "ok"
    return Outcome(
        clip_id, status, leading_code([code for code, _ in problems]), "; ".join(text for _, text in problems)
    )


def _decode_video(file: MediaFile, work: ClipWork) -> tuple[IO[bytes], list[Problem]]:
    """Return the Matroska file, and what is wrong with it."""
    decoder, config = work.decoder, work.decoder.config
    path = decoder.locate(file)
    attempt, plan = _final_attempt(path, file.kind, work)
    output, log, stored = attempt.output, attempt.log, attempt.stored
    if stored is None or not attempt.has_content:
        raise failure(attempt, plan)
    final = stored
    try:
        if attempt.report.num_graphs > 1:
            attempt = replace(attempt, output=_placed(output, work))
            output = attempt.output
        if plan.has_clock(config):
            output, final = _selected(attempt, plan, stored, work)
    except ShardError as error:
        raise ClipError("no_usable_stream", str(error)) from error
    num_frames = final.num_frames
    # A header whose times of the sound are nonsense says nothing of the duration either.
    stated = None if plan.mix.clock == "counted" else duration_seconds(log, stored)
    duration = plan.empty.end_seconds or believed_seconds(stated, stored, config, log)
    counted = final if plan.every_picture and not config.num_frames else stored
    problems = problems_of(attempt, plan, counted, duration, config)
    if not plan.empty.end_seconds and not any(code in {"truncated", "decode_errors"} for code, _ in problems):
        problems += _lost_sound(attempt, stored, config)
    is_short = any(code not in SILENT_CODES for code, _ in problems)
    work.facts = {
        "duration_seconds": duration,
        "num_frames": num_frames,
        "expected_frames": max(num_frames, expected_frames(duration, config)) if is_short else num_frames,
        "audio_seconds": round(stored.audio_seconds, 3),
        **hdr_facts(decoder.binary, plan),
    }
    for position, one in enumerate(config.dense_frames()):
        # Without a picture there are none of these streams.
        found = final.num_dense_frames[position] if final.num_dense_frames else 0
        expected = max(found, expected_dense_frames(duration, config, one)) if is_short else found
        work.facts.update({f"num_{one.modality}_frames": found, f"expected_{one.modality}_frames": expected})
    return output, problems


def _lost_sound(attempt: Attempt, stored: StoredStreams, config: DecodeConfig) -> list[Problem]:
    """Return code and detail where much of the sound in the file's packets is missing from the result."""
    room_seconds = config.max_seconds - stored.audio_start_seconds
    lost = lost_sound(attempt.report, stored.audio_seconds, room_seconds) if stored.audio_seconds else ""
    return [("sound_lost", lost)] if lost else []


def _final_attempt(path: Path, kind: str, work: ClipWork) -> tuple[Attempt, Plan]:
    """Return the result of the first command whose plan is not revised, or of the last one, and its plan.

    Raises:
        ClipError: ``encrypted`` or ``file_unreadable``, or as :meth:`ClipWork.run` raises.
    """
    decoder, config = work.decoder, work.decoder.config
    work.begin_file()
    with _own_reading():
        plan = first_plan(config, encrypted_streams(path, kind), *_header_facts(path, kind, config))
    for number in range(1, MAX_COMMANDS + 1):
        if not (plan.picture or plan.sound):
            raise ClipError("encrypted", "; ".join(text for _, text in plan.problems))
        command = clip_command(decoder.binary, str(path), kind, config, plan)
        asks_for_more = functools.partial(header_asks_for_more, plan, config)
        output, done = work.run(command, path, MAX_CLIP_BYTES, asks_for_more)
        log = done.stderr
        stored = None if done.was_enough else _measured(output, has_clock=plan.has_clock(config))
        is_whole = done.was_enough or (stored is not None and bool(stored.num_frames and stored.audio_seconds))
        with _own_reading():
            scrambled = scrambled_pids(path) if kind == "mpegts" and not is_whole else frozenset()
        attempt = Attempt(
            output,
            done.returncode,
            plain_log(log),
            stored,
            kind,
            sound_report(log),
            scrambled,
            graph_inputs(log),
            num_picture_packets(log),
        )
        another = revised_plan(plan, attempt, config)
        if another is None or number == MAX_COMMANDS:
            break
        decoder.release([output])
        plan = another
    return attempt, plan


def _header_facts(path: Path, kind: str, config: DecodeConfig) -> tuple[EmptyEdits, Colours, float]:
    """Return the empty edits of an MP4, what its header lets guess of its colours, and the duration of its picture.

    The duration is 0 where no fixed number of frames is wanted.
    """
    # Opened whatever its kind, since ffmpeg has no code of its own for a file that may not be read.
    with path.open("rb") as file:
        if kind != "mp4":
            return EmptyEdits(), Colours(), 0.0
        seconds = stated_picture_seconds(file) if config.num_frames else 0.0
        return empty_edits(file), guessed_colours(picture_entry(file), config.untagged_matrix), seconds


@contextmanager
def _own_reading() -> Iterator[None]:
    """Turn an error of the disk, where the file itself is read, into an outcome of the clip.

    Raises:
        ClipError: ``file_unreadable``.
    """
    try:
        yield
    except OSError as error:
        raise ClipError("file_unreadable", f"the file cannot be read: {error.strerror}") from error


def _measured(output: IO[bytes], *, has_clock: bool) -> StoredStreams | None:
    try:
        return measure(output, has_clock=has_clock) if output.tell() else None
    except ShardError:
        # The header alone: no stream has a packet.
        return None


def _placed(output: IO[bytes], work: ClipWork) -> IO[bytes]:
    """Return a copy of a result with each sample of its sound at its time."""
    placed = work.spool()
    place_sound(output, placed)
    return placed


def _selected(attempt: Attempt, plan: Plan, stored: StoredStreams, work: ClipWork) -> tuple[IO[bytes], StoredStreams]:
    """Return a copy of a result, without its clock and with the frames that belong into it, and what it holds."""
    config = work.decoder.config
    end = picture_end_seconds(stored, attempt.log, plan.max_seconds(config)) if stored.num_frames else 0.0
    streams = [stored.frame_seconds, *stored.dense_seconds]
    if plan.every_picture:
        rates = [(one.frames_per_second, one.max_frames) for one in config.dense_frames()]
        times = [times_below(end, *rate) for rate in (sampled_rate(config), *rates)]
        chosen = [on_screen(seconds, wanted) for seconds, wanted in zip(streams, times, strict=True)]
    else:
        chosen = [[(place, second) for place, second in enumerate(seconds) if second < end] for seconds in streams]
    if config.num_frames:
        places = choose_positions([second for _, second in chosen[0]], config.num_frames, end)
        chosen[0] = [chosen[0][place] for place in places]
    selected = work.spool()
    select_frames(attempt.output, selected, chosen)
    sampled, *dense = (tuple(second for _, second in frames) for frames in chosen)
    final = replace(
        stored,
        num_frames=len(sampled),
        frame_seconds=sampled,
        frames_end_seconds=sampled[-1] if sampled else 0.0,
        num_dense_frames=tuple(len(seconds) for seconds in dense),
        dense_seconds=tuple(dense),
    )
    return selected, final


def _decode_cover(file: MediaFile, work: ClipWork) -> IO[bytes]:
    decoder = work.decoder
    path = decoder.locate(file)
    work.begin_file()
    with _own_reading():
        form = cover_form(path, file.kind)
    command = cover_command(decoder.binary, str(path), file.kind, decoder.config, form)
    max_pixels = decoder.config.max_pixels

    def is_too_large(log: str) -> bool | None:
        num_pixels = joined_pixels(log)
        return None if num_pixels is None else num_pixels > max_pixels

    output, done = work.run(command, path, MAX_COVER_BYTES, is_too_large)
    if done.was_enough:
        raise ClipError("too_many_pixels", f"its tiles make a picture of more than max_pixels, {max_pixels:,}")
    if not output.tell():
        raise ClipError(*reason(done.stderr))
    return output
