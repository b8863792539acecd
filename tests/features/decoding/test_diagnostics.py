from __future__ import annotations

import pytest

from features.decoding.config import DecodeConfig
from features.decoding.diagnostics import (
    StoredStreams,
    duration_seconds,
    expected_dense_frames,
    expected_frames,
    lacks_edge,
    num_picture_packets,
    what_is_missing,
)
from features.decoding.messages import last_line, reason, was_killed

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
        # A picture that starts late.
        (StoredStreams(14, 9.5, 3.0, 3.0), CLEAN, ""),
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


LISTED = "Input #0, mov\n  Duration: 00:00:10.00, start: 0\n  Stream #0:0: Video: h264\n  Stream #0:1: Audio: aac\n"


@pytest.mark.parametrize(
    ("line", "is_damage"),
    [
        ("[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55] stream 1, offset 0x6b3c: partial file", True),
        ("[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x55] stream 0, offset 0x6b3c: partial file", True),
        ("[in#0/matroska,webm @ 0x55] File ended prematurely", True),
        ("[mpegts @ 0x55] Packet corrupt (stream = 1, dts = 9).", True),
        # Subtitles.
        ("[in#0/mov @ 0x55] stream 2, offset 0x6b3c: partial file", False),
        ("[mpegts @ 0x55] Packet corrupt (stream = 2, dts = 9).", False),
        # Decoders.
        ("[h264 @ 0x55] SEI type 5 size 255 truncated at 8", False),
        ("[vist#0:0/h264 @ 0x55] [dec:h264 @ 0x66] truncated packet", False),
        ("[mpeg4 @ 0x55] header damaged, truncated", False),
        ("    title : [mov @ 0x55] partial file", False),
    ],
)
def test_only_a_demuxer_tells_of_missing_bytes(line: str, is_damage: bool) -> None:
    log = f"{LISTED}  Stream #0:2: Subtitle: mov_text\n{line}\n"
    # The picture is shorter than the sound, which is no damage by itself.
    missing = what_is_missing(StoredStreams(4, 1.5, 10.0, 10.0), 10.0, DecodeConfig(), log)
    assert (missing is not None) == is_damage


@pytest.mark.parametrize("other", ["Subtitle: subrip", "Data: bin_data", "Audio: aac", "Video: h264"])
def test_a_duration_that_may_be_of_another_stream_is_no_evidence(other: str) -> None:
    stored = StoredStreams(4, 1.5, 2.0, 2.0)
    assert what_is_missing(stored, 10.0, DecodeConfig(), LISTED) is not None
    assert what_is_missing(stored, 10.0, DecodeConfig(), f"{LISTED}  Stream #0:2(eng): {other}\n") is None
    cover = f"{LISTED}  Stream #0:2[0x3]: Video: png, 64x48 (attached pic)\n"
    assert what_is_missing(stored, 10.0, DecodeConfig(), cover) is not None


def test_what_is_said_does_not_depend_on_the_order_of_the_lines() -> None:
    lines = [
        "[mov @ 0x5{}] stream 1, offset 0x6b3c: partial file",
        "[in#0/mov @ 0x6{}] Error during demuxing: Invalid data found when processing input",
        "[vist#0:0/h264 @ 0x7{}] Error submitting packet to decoder: Invalid data found when processing input",
        "Conversion failed!",
    ]
    found = {last_line("\n".join(lines[n:] + lines[:n]).format(n, n, n)) for n in range(4)}
    assert found == {"Error during demuxing: Invalid data found when processing input"}
    assert {reason("\n".join(order).format(1, 2))[1] for order in (lines[1:3], lines[2:0:-1])} == {
        "Error during demuxing: Invalid data found when processing input"
    }


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


@pytest.mark.parametrize(
    ("duration", "packets", "lacks"),
    [
        # 50 pictures at 25 a second end at 2 s; the last packet of sound ends a little later.
        ("02.02", 50, False),
        ("02.02", 0, True),
        # A picture that starts one frame late is on screen at 2 s.
        ("02.04", 50, True),
        ("02.04", 51, True),
        ("02.50", 50, True),
    ],
)
def test_sound_behind_the_picture_is_no_missing_frame(duration: str, packets: int, *, lacks: bool) -> None:
    log = f"  Duration: 00:00:{duration}, start: 0\n  Stream #0:0[0x1](und): Video: h264, 64x48, 25 fps, 25 tbr\n"
    stored = StoredStreams(4, 1.5, 2.0, 2.0, frame_seconds=(0.0, 0.5, 1.0, 1.5))
    assert lacks_edge(stored, log, DecodeConfig(), packets) == lacks


def test_packets_of_the_picture_are_counted_by_ffmpeg() -> None:
    line = "[in#0/mov @ 0x5f] [verbose]   Input stream #0:{} ({}): {} packets read (9 bytes); 7 frames decoded\n"
    assert num_picture_packets(line.format(0, "audio", 31) + line.format(1, "video", 50)) == 50
    assert num_picture_packets(CLEAN) == 0
