"""Which picture is stored at which time, and that none is missing: each picture shows its own number as its level."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from features.decoding.config import DecodeConfig
from tests.features.media import ClipParts, decode_row, downloaded, ffmpeg, read_frames, render

if TYPE_CHECKING:
    from pathlib import Path

    Word = str | float | Path

# Levels of two neighbours; more than what JPEG and H.264 change.
STEP = 4
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
REORDERED = (*X264, "-x264-params", "bframes=2:b-adapt=0:b-pyramid=none:scenecut=0:keyint=250")
TONE = "sine=frequency=440:sample_rate=16000:duration={}"
PCM = ("-c:a", "pcm_s16le")


def numbered(rate: float, seconds: float, size: str = "64x48", first: int = 0) -> str:
    """Return a source of pictures whose luma is ``16 + STEP`` times their number, counted from ``first``."""
    level = f"geq=lum='16+{STEP}*(N+{first})':cb=128:cr=128"
    return f"nullsrc=size={size}:rate={rate}:duration={seconds},format=yuv420p,{level}"


def decode(video: Path, **settings: Any) -> ClipParts:  # noqa: ANN401 - of any type
    return decode_row(downloaded(video), DecodeConfig(**{"codec": "lossless", **settings}))


def shown(clip: ClipParts) -> dict[float, int]:
    """Return time -> number of the picture that is stored there."""
    assert clip.matroska is not None, clip.outcome
    frames = read_frames(clip.matroska)
    if frames is None:
        return {}
    levels = frames.images.mean(axis=(1, 2, 3)) * 219 / 255
    seconds = [round(float(second), 3) for second in frames.time_seconds]
    return dict(zip(seconds, np.rint(levels / STEP).astype(int).tolist(), strict=True))


def copied(source: Path, target: Path, *options: Word, before: tuple[Word, ...] = ()) -> Path:
    words = [*before, "-i", source, "-c", "copy", *options, target]
    subprocess.run([ffmpeg(), "-v", "error", "-nostdin", "-y", *map(str, words)], check=True, timeout=60)
    return target


def joined(folder: Path, name: str, parts: list[Path]) -> Path:
    (folder / "list.txt").write_text("".join(f"file {part.name}\n" for part in parts))
    return copied(folder / "list.txt", folder / name, before=("-f", "concat"))


@pytest.mark.parametrize("codec", [REORDERED, ("-c:v", "mpeg4", "-bf", "2", "-q:v", "2")])
def test_an_avi_with_reordered_pictures_shows_each_at_its_time(tmp_path: Path, codec: tuple[str, ...]) -> None:
    avi = render(tmp_path / "a.avi", [numbered(8, 2)], *codec)
    assert shown(decode(avi)) == {0.0: 0, 0.5: 4, 1.0: 8, 1.5: 12}
    # As short as what the decoder holds back.
    short = render(tmp_path / "short.avi", [numbered(8, 0.375)], *codec)
    assert shown(decode(short)) == {0.0: 0}


@pytest.mark.parametrize("name", ["a.ts", "a.flv", "a.avi", "fragments.mp4"])
def test_a_picture_that_starts_late_by_its_reordering_starts_at_the_first_time(tmp_path: Path, name: str) -> None:
    more = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof") if name == "fragments.mp4" else ()
    clip = render(tmp_path / name, [numbered(25, 1.4), TONE.format(1.4)], *REORDERED, "-c:a", "aac", *more)
    # By its clock the 12th picture starts up to 80 ms after 0.48 s.
    assert shown(decode(clip))[0.0] == 0
    assert shown(decode(clip, frames_per_second=0.5)) == {0.0: 0}


@pytest.mark.parametrize("name", ["part-%d.ts", "part-%d.mp4"])
def test_a_part_that_begins_with_pictures_of_the_part_before_keeps_its_clock(tmp_path: Path, name: str) -> None:
    # An open group of pictures: 4 that refer to the part before, and cannot be shown, are stored behind the first.
    coding = "keyint=10:min-keyint=10:open-gop=1:bframes=4:b-adapt=0:scenecut=0:repeat-headers=1"
    codec = (*X264, "-x264-params", coding, "-c:a", "aac")
    whole = render(tmp_path / "a.ts", [numbered(25, 1.6), TONE.format(1.6)], *codec)
    bits = ("-bsf:a", "aac_adtstoasc") if name.endswith("mp4") else ()
    copied(whole, tmp_path / name, *bits, "-f", "segment", "-segment_time", 0.6)
    part = tmp_path / (name % 1)
    with av.open(str(part)) as file:
        packets = [packet for packet in file.demux() if packet.pts is not None]
        times = {kind: [p.pts * p.time_base for p in packets if p.stream.type == kind] for kind in ("video", "audio")}
    assert min(times["video"]) < times["video"][0]
    late = float(times["video"][0] - min(times["audio"]))
    assert 0.15 < late < 0.3
    found = shown(decode(part, frames_per_second=10))
    assert found[0.0] == found[0.1] == 20
    assert found == {time: 20 + int(25 * max(0.0, time - late + 1e-4)) for time in found}


def test_a_slow_picture_that_starts_late_by_its_reordering_starts_at_the_first_time(tmp_path: Path) -> None:
    clip = render(tmp_path / "a.ts", [numbered(5, 2), TONE.format(2)], *REORDERED, "-c:a", "aac")
    assert shown(decode(clip))[0.0] == 0


@pytest.mark.parametrize("settings", [{}, {"motion_frames_per_second": 4.0}, {"motion_frames_per_second": 0.2}])
def test_a_picture_between_two_times_is_stored_at_its_own(tmp_path: Path, settings: dict[str, float]) -> None:
    early = render(tmp_path / "a.mkv", [numbered(8, 1), TONE.format(4)], *X264, "-bf", "0", *PCM)
    late = copied(early, tmp_path / "late.mkv", "-map", "1:v", "-map", "0:a", before=("-i", early, "-itsoffset", 2.125))
    clip = decode(late, frames_per_second=0.25, **settings)
    assert clip.outcome.status == "ok"
    assert shown(clip) == {2.125: 0}
    assert (clip.about["num_frames"], clip.about["expected_frames"], clip.about["audio_seconds"]) == (1, 1, 4.0)
    if settings:
        assert clip.about["num_motion_frames"] == (4 if settings["motion_frames_per_second"] > 1 else 1)


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ("size", {}), ("size", {"sampling": "fast"}), ("depth", {"codec": "mjpeg"}),
        ("interlaced", {"motion_frames_per_second": 4.0}),
    ],
)  # fmt: skip
def test_a_change_of_the_picture_loses_no_time(tmp_path: Path, change: str, settings: dict[str, Any]) -> None:
    x265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0:repeat-headers=1")
    parts = []
    for number in range(6):
        size = "64x48" if change == "depth" else ("64x48", "48x64", "80x32")[number % 3]
        pixels = "yuv420p10le" if change == "depth" and number % 2 else "yuv420p"
        source = numbered(20, 0.35, size, first=7 * number)
        field = ("-x264-params", "tff=1") if change == "interlaced" else ()
        codec = x265 if change == "depth" else (*X264, "-bf", "0", *field)
        parts.append(render(tmp_path / f"{number}.mkv", [source], *codec, "-pix_fmt", pixels))
    clip = decode(joined(tmp_path, "all.mkv", parts), **settings)
    assert clip.outcome.status == "ok"
    assert shown(clip) == {0.0: 0, 0.5: 10, 1.0: 20, 1.5: 30, 2.0: 40}
    if "motion_frames_per_second" in settings:
        assert clip.about["num_motion_frames"] == 9


@pytest.mark.parametrize("settings", [{}, {"motion_frames_per_second": 4.0}, {"num_frames": 4}])
def test_a_change_of_rotation_loses_no_time(tmp_path: Path, settings: dict[str, Any]) -> None:
    # White on the left; turned anticlockwise by a quarter that is below, by a half on the right.
    source = "color=black:size=64x64:rate=20:duration=0.7,drawbox=w=32:h=64:c=white:t=fill"
    plain = render(tmp_path / "0.h264", [source], *X264, "-bf", "0")
    turns = [0, 90, 180, 90, 180]
    for turn in (90, 180):
        copied(plain, tmp_path / f"{turn}.h264", "-bsf:v", f"h264_metadata=display_orientation=insert:rotate={turn}")
    (tmp_path / "all.h264").write_bytes(b"".join((tmp_path / f"{turn}.h264").read_bytes() for turn in turns))
    clip = decode(copied(tmp_path / "all.h264", tmp_path / "all.mkv", before=("-r", 20)), **settings)
    assert (clip.outcome.status, clip.about["num_frames"]) == ("ok", 4 if settings.get("num_frames") else 7)
    assert clip.matroska is not None
    frames = read_frames(clip.matroska)
    assert frames is not None
    for image, second in zip(frames.images, frames.time_seconds, strict=True):
        light = {0: image[:, :24], 90: image[40:], 180: image[:, 40:]}[turns[int((second + 0.001) / 0.7)]]
        assert light.min() > 200
        assert image.mean() == pytest.approx(127, abs=12)
    if "motion_frames_per_second" in settings:
        assert clip.about["num_motion_frames"] == 14


@pytest.mark.parametrize("settings", [{}, {"motion_frames_per_second": 4.0}, {"num_frames": 6}])
def test_the_last_picture_ends_with_the_sound_where_nothing_states_its_duration(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    # The gap before the last picture is 2.7 s, and it starts 0.1 s before the sound ends; MPEG-TS has no durations.
    source = numbered(20, 3) + ",select='lt(n,4)+eq(n,57)'"
    options = (*X264, "-bf", "0", "-fps_mode", "passthrough", "-c:a", "aac")
    clip = decode(render(tmp_path / "a.ts", [source, TONE.format(2.9)], *options), **settings)
    assert clip.outcome.status == "ok"
    assert clip.about["num_frames"] == clip.about["expected_frames"] == 6
    wanted = [0.25, 0.75, 1.25, 1.75, 2.25, 2.75] if settings.get("num_frames") else [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert list(shown(clip)) == pytest.approx(wanted, abs=0.1)
    if "motion_frames_per_second" in settings:
        assert clip.about["num_motion_frames"] == 12


def test_a_last_picture_that_starts_after_the_sound_lasts_as_long_as_the_one_before(tmp_path: Path) -> None:
    source = numbered(1, 4)
    options = (*X264, "-bf", "0", "-fps_mode", "passthrough", "-c:a", "aac")
    clip = decode(render(tmp_path / "a.ts", [source, TONE.format(1.5)], *options))
    assert [time for time, number in shown(clip).items() if number == 3] == [3.5, 4.0]
    # Its clock starts 21 ms after that of the sound, so that it is on screen from 3.02 to 4.02 s.


def test_fast_keeps_the_times_of_a_clip_that_was_cut_without_encoding(tmp_path: Path) -> None:
    base = render(tmp_path / "base.mp4", [numbered(25, 2.4)], *REORDERED)
    for start, seconds in ((1.0, 0.4), (1.04, 1.1), (1.12, 0.4)):
        clip = copied(base, tmp_path / f"{start}.mp4", "-t", seconds, before=("-ss", start))
        exact, fast = decode(clip), decode(clip, sampling="fast")
        assert list(shown(fast)) == list(shown(exact))
        assert (fast.outcome.status, fast.about["num_frames"]) == ("ok", exact.about["num_frames"])


def test_fast_keeps_a_last_picture_that_no_other_refers_to(tmp_path: Path) -> None:
    layers = "ts_number_layers=2:ts_target_bitrate=200,300:ts_rate_decimator=2,1:ts_periodicity=2:ts_layer_id=0,1"
    options = ("-error-resilient", "1", "-auto-alt-ref", "0", "-lag-in-frames", "0", "-g", "100")
    more = (*options, "-ts-parameters", f"{layers}:ts_layering_mode=2")
    clip = render(tmp_path / "a.webm", [numbered(1, 4)], "-c:v", "libvpx", *more)
    assert list(shown(decode(clip, sampling="fast"))) == list(shown(decode(clip))) == [n / 2 for n in range(8)]


@pytest.mark.parametrize(
    ("name", "settings"),
    [("a.mkv", {}), ("a.mkv", {"num_frames": 4}), ("a.flv", {}), ("a.mp4", {}), ("a.ts", {}), ("segment.mp4", {})],
)
def test_a_clock_that_starts_later_is_no_damage(tmp_path: Path, name: str, settings: dict[str, int]) -> None:
    options = (*X264, "-bf", "0", "-g", "8", "-c:a", "aac")
    whole = render(tmp_path / "whole.mkv", [numbered(8, 1.875), TONE.format(1.875)], *options)
    if name == "segment.mp4":
        # The second segment of a stream behind its header.
        hls = ("-f", "hls", "-hls_time", 1, "-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.bin")
        copied(whole, tmp_path / "l.m3u8", *hls, "-hls_segment_filename", tmp_path / "%d.bin", "-output_ts_offset", 60)
        clip = tmp_path / name
        clip.write_bytes((tmp_path / "init.bin").read_bytes() + (tmp_path / "1.bin").read_bytes())
    else:
        more = ("-flvflags", "no_duration_filesize") if name == "a.flv" else ()
        clip = copied(whole, tmp_path / name, "-output_ts_offset", 60, *more)
    found = decode(clip, **settings)
    seconds = 0.875 if name == "segment.mp4" else 1.875
    frames = 4 if settings or name != "segment.mp4" else 2
    assert (found.outcome.status, found.about["num_frames"], found.about["expected_frames"]) == ("ok", frames, frames)
    assert found.about["duration_seconds"] == pytest.approx(seconds, abs=0.15)


def test_a_clip_whose_clock_starts_later_and_that_was_cut_is_truncated(tmp_path: Path) -> None:
    source = "testsrc2=size=160x120:rate=8:duration=4"
    clip = render(tmp_path / "a.mkv", [source], *X264, "-g", "8", "-output_ts_offset", "60")
    (tmp_path / "half.mkv").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    found = decode(tmp_path / "half.mkv")
    assert (found.outcome.code, found.about["expected_frames"]) == ("truncated", 8)
