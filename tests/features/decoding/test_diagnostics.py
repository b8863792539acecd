from __future__ import annotations

import pytest

from features.decoding.config import DecodeConfig
from features.decoding.diagnostics import (
    StoredStreams,
    duration_seconds,
    expected_dense_frames,
    expected_frames,
    last_line,
    reason,
    was_killed,
    what_is_missing,
)

CLEAN = "Input #0, mov\n  Duration: 00:00:10.00, start: 0.000000\nframe=   20 fps=0.0\n"
CUT = CLEAN + "[mov @ 0x55] stream 1, offset 0x6b3c: partial file\n"


@pytest.mark.parametrize(
    ("log", "seconds"),
    [
        ("  Duration: 01:02:03.45, start", 3723.45),
        ("  Duration: N/A, bitrate", None),
        ("", None),
        ("Duration: 00:00:01", None),
    ],
)
def test_the_duration_is_what_ffmpeg_states(log: str, seconds: float | None) -> None:
    assert duration_seconds(log) == seconds


@pytest.mark.parametrize(
    ("duration", "settings", "frames"),
    [
        (None, {}, 1), (0.0, {}, 1), (2.0, {}, 4), (2.01, {}, 5), (1000.0, {}, 600),
        (1000.0, {"max_seconds": 10.0}, 20),
        (10.0, {"num_frames": 8}, 8), (0.2, {"num_frames": 8}, 4), (0.0, {"num_frames": 8}, 1),
    ],
)  # fmt: skip
def test_expected_frames_follow_the_settings(duration: float | None, settings: dict[str, float], frames: int) -> None:
    assert expected_frames(duration, DecodeConfig(**settings)) == frames  # type: ignore[arg-type] # whole numbers


@pytest.mark.parametrize(
    ("duration", "frames"), [(None, 1), (0.0, 1), (2.0, 24), (2.01, 25), (60.0, 720), (99.0, 900), (10.0, 120)]
)
def test_expected_frames_for_motion_have_a_rate_and_a_cap_of_their_own(duration: float | None, frames: int) -> None:
    config = DecodeConfig(motion_frames_per_second=12.0, max_motion_frames=900, num_frames=3, max_frames=5)
    assert expected_dense_frames(duration, config, config.dense_frames()[0]) == frames


@pytest.mark.parametrize(
    ("stored", "log", "code"),
    [
        # Frames, time of the last one, length and end of the sound; the header says 10 s, so 20 frames.
        (StoredStreams(20, 9.5, 10.0, 10.0), CLEAN, ""),
        (StoredStreams(20, 9.5, 10.0, 10.0), CUT, ""),
        (StoredStreams(4, 1.5, 10.0, 10.0), CLEAN, ""),
        (StoredStreams(4, 1.5, 10.0, 10.0), CUT, "truncated"),
        (StoredStreams(20, 9.5, 3.0, 3.0), CLEAN, ""),
        (StoredStreams(20, 9.5, 3.0, 3.0), CUT, "truncated"),
        (StoredStreams(20, 9.5, 3.0, 10.0), CUT, ""),
        (StoredStreams(4, 1.5, 3.0, 3.0), CLEAN, "truncated"),
        (StoredStreams(4, 1.5, 0.0, 0.0), CLEAN, "truncated"),
        (StoredStreams(18, 8.5, 0.0, 0.0), CLEAN, ""),
        (StoredStreams(17, 8.0, 0.0, 0.0), CLEAN, "truncated"),
        (StoredStreams(0, 0.0, 10.0, 10.0), CLEAN, "no_video_stream"),
    ],
)
def test_damage_is_told_from_streams_of_different_length(stored: StoredStreams, log: str, code: str) -> None:
    missing = what_is_missing(stored, 10.0, DecodeConfig(), log)
    assert ("" if missing is None else missing[0]) == code


def test_without_a_duration_the_log_decides() -> None:
    stored = StoredStreams(4, 1.5, 0.0, 0.0)
    assert what_is_missing(stored, None, DecodeConfig(), "all well") is None
    assert what_is_missing(stored, None, DecodeConfig(), CUT) == (
        "truncated", "no duration is stated; stream 1, offset 0x6b3c: partial file",
    )  # fmt: skip


def test_the_reason_is_the_line_that_tells() -> None:
    assert reason("a\n[png @ 0x7f] Picture size 9x9 exceeds\nInvalid data found")[0] == "too_many_pixels"
    assert reason("[in#0 @ 0x1] Unknown input format: 'webp_anim'") == (
        "format_not_supported", "Unknown input format: 'webp_anim'",
    )  # fmt: skip
    assert reason("no idea") == ("decode_failed", "no idea")
    assert reason("") == ("decode_failed", "ffmpeg said nothing")
    assert (
        last_line("an error\n[swscaler @ 0x7f] deprecated pixel format used, not good\nframe= 4 fps=0.0") == "an error"
    )


def test_a_process_that_a_signal_ended_says_so_with_or_without_levels() -> None:
    said = "Exiting normally, received signal 15.\n"
    assert was_killed(255, f"{CLEAN}[info] {said}")
    assert was_killed(255, f"{CLEAN}{said}")
    assert was_killed(-9, "")
    assert not was_killed(255, f"{CLEAN}[info]     title           : {said}")
