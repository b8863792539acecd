from __future__ import annotations

import functools
import hashlib
import itertools
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pytest

from features.base.errors import ToolError
from features.base.outcomes import Outcome, is_transient
from features.base.process import Limits, run
from features.decoding.commands import clip_command
from features.decoding.config import DecodeConfig
from features.decoding.diagnostics import StoredStreams, measure
from features.downloads.download_rows import DownloadedClip
from features.formats.matroska import read_cover, read_waveform
from tests.features.media import (
    ClipParts,
    decode_row,
    decode_to,
    downloaded,
    fake_program,
    ffmpeg,
    media_file,
    read_frames,
    read_parts,
    render,
    render_clip,
    render_picture,
)

if TYPE_CHECKING:
    import numpy.typing as npt


def decode(video: Path | None, cover: Path | None = None, **settings: Any) -> ClipParts:  # noqa: ANN401 - of any type
    return decode_row(downloaded(video, cover), DecodeConfig(**settings))


def frames_of(clip: ClipParts) -> npt.NDArray[np.uint8]:
    assert clip.matroska is not None
    frames = read_frames(clip.matroska)
    assert frames is not None
    return frames.images


def times_of(clip: ClipParts) -> list[float]:
    assert clip.matroska is not None
    frames = read_frames(clip.matroska)
    return [] if frames is None else [float(second) for second in frames.time_seconds]


def test_a_clip_with_picture_and_sound(media: Path) -> None:
    clip = decode(media / "both.mp4")
    assert clip.outcome == Outcome("clip", "ok")
    assert frames_of(clip).shape == (4, 48, 64, 3)
    assert clip.matroska is not None
    waveform = read_waveform(clip.matroska)
    assert waveform is not None
    assert waveform.sample_rate_hz == 16000
    assert len(waveform.samples) == pytest.approx(32000, abs=1100)
    # The tone of the source: 440 Hz is the 220th line of a spectrum of half a second.
    spectrum = np.abs(np.fft.rfft(waveform.samples[8000:16000]))
    assert np.argmax(spectrum) == 220
    assert clip.about == {
        "audio_seconds": pytest.approx(2.0, abs=0.07),
        "codes": [],
        "cover": False,
        "cover_sha256": "",
        "download_problems": [],
        "duration_seconds": pytest.approx(2.0, abs=0.07),
        "expected_frames": 4,
        "num_frames": 4,
        "video_sha256": hashlib.sha256((media / "both.mp4").read_bytes()).hexdigest(),
    }


def test_a_missing_stream_or_cover_is_no_failure_unless_it_is_the_picture(media: Path) -> None:
    silent = decode(media / "silent.mp4")
    assert silent.outcome.status == "ok"
    assert silent.matroska is not None
    assert read_waveform(silent.matroska) is None
    sound = decode(media / "sound.mp4")
    assert (sound.outcome.status, sound.outcome.code) == ("partial", "no_video_stream")
    assert sound.matroska is not None
    assert read_frames(sound.matroska) is None
    assert read_waveform(sound.matroska) is not None


@pytest.mark.parametrize("rate", [1.0, 2.0, 3.0, 4.0])
def test_frames_stand_at_multiples_of_the_interval(media: Path, rate: float) -> None:
    clip = decode(media / "both.mp4", frames_per_second=rate)
    count = clip.about["num_frames"]
    assert 2 * rate <= count <= 2 * rate + 1
    # Matroska counts in milliseconds.
    np.testing.assert_allclose(times_of(clip), np.arange(count) / rate, atol=5.01e-4)


def test_a_frame_shows_what_stood_there_at_its_time(tmp_path: Path) -> None:
    # Black, and after one second white.
    source = "color=black:size=64x48:rate=10:duration=1[a];color=white:size=64x48:rate=10:duration=1[b];[a][b]concat"
    path = render(tmp_path / "step.mp4", [source], "-c:v", "libx264", "-preset", "ultrafast")
    brightness = frames_of(decode(path, frames_per_second=4.0)).mean(axis=(1, 2, 3))
    assert list(brightness > 128) == [False] * 4 + [True] * 4


def test_one_frame_comes_of_a_clip_shorter_than_half_an_interval(media: Path) -> None:
    for rate in (0.1, 1.0, 2.0):
        clip = decode(media / "short.mp4", frames_per_second=rate)
        assert clip.outcome.status == "ok"
        assert times_of(clip) == [0.0]


@pytest.mark.parametrize(
    ("name", "short_side", "shape"),
    [
        ("odd.mkv", 256, (48, 64)),
        ("portrait.mp4", 256, (96, 48)),
        ("portrait.mp4", 24, (48, 24)),
        ("large.mp4", 90, (90, 160)),
        ("large.mp4", 25, (24, 42)),
    ],
)
def test_frames_are_shrunk_with_their_aspect_and_never_enlarged(
    media: Path, name: str, short_side: int, shape: tuple[int, int]
) -> None:
    images = frames_of(decode(media / name, short_side_pixels=short_side))
    assert images.shape[1:3] == shape


@pytest.mark.parametrize("size", ["16x3", "1x64", "3x3"])
def test_tiny_and_thin_pictures_are_no_error(tmp_path: Path, size: str) -> None:
    path = render(tmp_path / "thin.mkv", [f"color=red:size={size}:rate=2:duration=1"], "-c:v", "png")
    images = frames_of(decode(path))
    assert len(images) == 2
    assert images[0, 0, 0, 0] > 200


def test_duration_and_number_of_frames_are_capped(media: Path) -> None:
    clip = decode(media / "large.mp4", max_seconds=1.0, frames_per_second=5.0)
    assert clip.outcome.status == "ok"
    assert times_of(clip)[-1] <= 1.0
    assert clip.about["audio_seconds"] == pytest.approx(1.0, abs=0.1)
    clip = decode(media / "large.mp4", max_frames=3, frames_per_second=5.0)
    assert clip.outcome.status == "ok"
    assert times_of(clip) == pytest.approx([0.0, 0.2, 0.4])


def test_fast_sampling_gives_the_same_times(tmp_path: Path) -> None:
    # B frames, which no other frame refers to, are what it skips.
    path = render_clip(tmp_path / "b.mp4", rate=20, options=("-bf", "3", "-preset", "medium"))
    exact, fast = decode(path), decode(path, sampling="fast")
    assert fast.outcome.status == "ok"
    assert times_of(fast) == times_of(exact)
    assert frames_of(fast).shape == frames_of(exact).shape
    assert np.abs(frames_of(fast).astype(int) - frames_of(exact)).mean() < 12


def test_lossless_keeps_what_mjpeg_changes(tmp_path: Path) -> None:
    path = render(
        tmp_path / "source.mkv", ["testsrc2=size=64x48:rate=2:duration=1"], "-c:v", "ffv1", "-pix_fmt", "yuv420p"
    )
    source = run(
        [ffmpeg(), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"], Limits(20)
    ).stdout

    def planes(clip: ClipParts) -> bytes:
        assert clip.matroska is not None
        argv = [ffmpeg(), "-v", "error", "-f", "matroska", "-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
        return run(argv, Limits(20), stdin=clip.matroska).stdout

    assert planes(decode(path, codec="lossless")) == source
    assert planes(decode(path, codec="mjpeg")) != source


@pytest.mark.parametrize(("name", "frames"), [("half.mp4", range(2, 5)), ("tenth.mp4", range(1, 3))])
def test_a_file_that_was_cut_is_partial_and_says_how_much_is_there(media: Path, name: str, frames: range) -> None:
    clip = decode(media / name)
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "truncated")
    assert clip.outcome.detail.startswith(f"{clip.about['num_frames']} of 6 frames; ")
    assert clip.about["num_frames"] in frames
    assert len(frames_of(clip)) == clip.about["num_frames"]


def test_few_frames_a_second_hide_no_damage(media: Path) -> None:
    assert decode(media / "tenth.mp4", frames_per_second=1.0).outcome.code == "truncated"
    assert decode(media / "large.mp4", frames_per_second=1.0).outcome.status == "ok"


def test_the_last_part_of_an_interval_counts(tmp_path: Path) -> None:
    # At one frame a second, 2.2 s hold the times 0, 1 and 2; a fifth of the file holds the first of them.
    path = render_clip(tmp_path / "whole.mp4", seconds=2.2, rate=25, size="320x240")
    assert decode(path, frames_per_second=1.0).outcome.status == "ok"
    whole = path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 5])
    clip = decode(tmp_path / "cut.mp4", frames_per_second=1.0)
    assert (clip.outcome.code, clip.about["num_frames"], clip.about["expected_frames"]) == ("truncated", 1, 3)


def test_a_file_cut_before_its_index_has_failed(media: Path, tmp_path: Path) -> None:
    whole = render_clip(tmp_path / "whole.mp4", options=()).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    clip = decode(tmp_path / "cut.mp4")
    assert (clip.outcome.status, clip.outcome.code, clip.matroska) == ("failed", "invalid_data", None)


@pytest.mark.parametrize("name", ["page.mp4", "empty.mp4", "cover.jpg"])
def test_what_is_no_video_has_failed_even_without_the_check_of_its_first_bytes(media: Path, name: str) -> None:
    clip = decode(media / name)
    assert clip.outcome.status == "failed"
    assert clip.outcome.code in {"invalid_data", "format_not_allowed"}
    assert clip.matroska is None
    assert (clip.about["codes"], clip.about["cover"]) == ([clip.outcome.code], False)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat"])
def test_a_playlist_reads_no_other_file(media: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    shutil.copy(media / "both.mp4", tmp_path / "secret.mp4")
    path = tmp_path / f"clip{suffix}"
    path.write_text(PLAYLISTS[kind].format(target="secret.mp4"), encoding="utf-8")
    done = run(clip_command(ffmpeg(), str(path), "mp4", DecodeConfig()), Limits(20))
    assert done.stdout == b""
    clip = decode(path)
    assert clip.outcome.status == "failed"
    assert clip.outcome.code in {"format_not_allowed", "invalid_data"}


def test_the_playlist_would_be_read_without_the_guard(media: Path, tmp_path: Path) -> None:
    shutil.copy(media / "both.mp4", tmp_path / "secret.mp4")
    path = tmp_path / "clip.mp4"
    path.write_text(PLAYLISTS["concat"].format(target="secret.mp4"), encoding="utf-8")
    command = clip_command(ffmpeg(), str(path), "mp4", DecodeConfig())
    for option in ("-format_whitelist", "-f"):
        place = command.index(option)
        del command[place : place + 2]
    assert len(run(command, Limits(20)).stdout) > 1000


def test_too_many_pixels_are_refused(media: Path) -> None:
    clip = decode(media / "both.mp4", media / "cover.png", max_pixels=1000)
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "too_many_pixels")
    assert clip.about["codes"] == ["too_many_pixels", "cover_too_many_pixels"]
    assert clip.outcome.detail.count("Picture size 64x48 exceeds specified max pixel count 1000") == 2
    assert (clip.matroska, clip.cover) == (None, None)
    assert decode(media / "both.mp4", max_pixels=64 * 48 + 4000).outcome.status == "ok"


def test_a_decoder_that_hangs_is_a_timeout_and_dies_with_its_children(media: Path, tmp_path: Path) -> None:
    # The name of its child is unlike any other's, since it may write no file to tell its number.
    shutil.copy("/bin/sleep", tmp_path / "sleeper")
    program = fake_program(tmp_path / "ffmpeg", f"{tmp_path}/sleeper 60 & wait")
    started = time.monotonic()
    clip = decode_row(downloaded(media / "both.mp4"), DecodeConfig(timeout_seconds=1.0), program)
    assert time.monotonic() - started < 10
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "decode_timeout")
    deadline = time.monotonic() + 5
    while running(tmp_path / "sleeper") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running(tmp_path / "sleeper")


def test_all_commands_of_a_file_share_its_time(media: Path, tmp_path: Path) -> None:
    # Each command takes 0.7 s and gives nothing of a file with a picture, which asks for another command.
    log = "  Stream #0:0: Video: h264, yuv420p, 64x48, 25 fps"
    program = fake_program(tmp_path / "ffmpeg", f"sleep 0.7; echo '{log}' >&2; exit 1")
    started = time.monotonic()
    clip = decode_row(downloaded(media / "both.mp4"), DecodeConfig(timeout_seconds=1.0), program)
    assert time.monotonic() - started < 1.4
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "decode_timeout")
    assert clip.outcome.detail == "ffmpeg ran longer than 1 s, the limit for one file"


@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_a_decoder_that_is_killed_from_outside_gets_another_go(media: Path, tmp_path: Path, name: str) -> None:
    # It kills itself the first time; a folder is all that it may make.
    script = f'mkdir {tmp_path}/been 2>/dev/null && kill -{name} $$; exec {ffmpeg()} "$@"'
    killed_once = decode_row(downloaded(media / "both.mp4"), DecodeConfig(), fake_program(tmp_path / "once", script))
    always = fake_program(tmp_path / "always", f"kill -{name} $$")
    killed_twice = decode_row(downloaded(media / "both.mp4"), DecodeConfig(), always)

    assert (killed_once.outcome.status, killed_once.about["num_frames"]) == ("ok", 4)
    assert (killed_twice.outcome.status, killed_twice.outcome.code) == ("failed", "decoder_killed")
    assert is_transient("decoder_killed")


def running(program: Path) -> bool:
    """Whether a program runs; one that ended and that nobody has waited for has no command line."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.read_bytes().startswith(bytes(program) + b"\0"):
                return True
        except OSError:
            continue
    return False


def test_a_decoder_that_floods_its_log_does_not_block(media: Path, tmp_path: Path) -> None:
    program = fake_program(tmp_path / "ffmpeg", "head -c 3000000 /dev/zero | tr '\\0' '\\n' >&2; echo an error >&2")
    clip = decode_row(downloaded(media / "both.mp4"), DecodeConfig(), program)
    assert clip.outcome == Outcome("clip", "failed", "decode_failed", "an error")


def test_a_decoder_that_writes_rubbish_is_a_failed_clip(media: Path, tmp_path: Path) -> None:
    program = fake_program(tmp_path / "ffmpeg", "echo rubbish")
    clip = decode_row(downloaded(media / "both.mp4"), DecodeConfig(), program)
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "no_usable_stream")


def test_details_name_no_path(media: Path, tmp_path: Path) -> None:
    path = tmp_path / "with a space" / "Picture size.mp4"
    path.parent.mkdir()
    shutil.copy(media / "page.mp4", path)
    outcome = decode(path).outcome
    assert outcome.code == "invalid_data"
    assert "space" not in outcome.detail
    assert "0x" not in outcome.detail


@pytest.mark.parametrize("name", ["cover.jpg", "cover.png", "cover.webp"])
def test_covers_of_every_kind_become_jpegs(media: Path, name: str) -> None:
    clip = decode(media / "silent.mp4", media / name)
    assert clip.outcome.status == "ok"
    assert clip.about["cover"] is True
    assert clip.cover is not None
    assert clip.cover.startswith(b"\xff\xd8\xff")
    found = read_cover(clip.cover).images
    assert found.shape == (1, 48, 64, 3)
    original = frames_of(decode(media / "silent.mp4"))[0]
    # The pattern is all edges of colour; the lossy WebP of 48 lines is the worst of the three.
    assert np.abs(found[0].astype(int) - original).mean() < 14


def test_a_cover_is_shrunk_and_its_name_is_no_pattern(tmp_path: Path, media: Path) -> None:
    cover = render_picture(tmp_path / "c_%03d [1]*.jpg".replace("%", "%%"), size="640x320")
    clip = decode(media / "silent.mp4", next(tmp_path.iterdir()), short_side_pixels=64)
    assert cover.parent == tmp_path
    assert clip.cover is not None
    assert read_cover(clip.cover).images.shape == (1, 64, 128, 3)


def test_a_damaged_cover_leaves_the_video(media: Path, tmp_path: Path) -> None:
    (tmp_path / "cover.png").write_bytes((media / "cover.png").read_bytes()[:60])
    clip = decode(media / "both.mp4", tmp_path / "cover.png")
    assert clip.outcome.status == "partial"
    assert clip.outcome.code.startswith("cover_")
    assert clip.matroska is not None
    assert clip.about["cover"] is False
    assert clip.about["codes"] == [clip.outcome.code]


def test_a_cover_of_another_kind_than_it_claims_is_refused(media: Path) -> None:
    row = downloaded(media / "both.mp4")
    row = replace(row, cover=replace(media_file(media / "page.mp4"), kind="jpeg"))
    clip = decode_row(row, DecodeConfig())
    assert clip.outcome.status == "partial"
    assert clip.cover is None


def test_what_download_could_not_get_is_passed_on(media: Path) -> None:
    missing = DownloadedClip(
        Outcome("a", "failed", "http_404", "the server answered 404"),
        problems=(("http_404", "the server answered 404"),),
    )
    clip = decode_row(missing, DecodeConfig())
    assert clip.outcome == missing.outcome
    no_cover = replace(
        downloaded(media / "both.mp4"),
        outcome=Outcome("a", "partial", "cover_http_404", "no cover"),
        problems=(("cover_http_404", "no cover"),),
    )
    clip = decode_row(no_cover, DecodeConfig())
    assert clip.outcome == no_cover.outcome
    assert clip.matroska is not None
    assert clip.about["codes"] == ["cover_http_404"]


def test_a_lost_cover_is_told_apart_from_none_even_if_the_video_is_lost_too() -> None:
    row = DownloadedClip(
        Outcome("a", "failed", "http_404", "gone; gone too"),
        problems=(("http_404", "gone"), ("cover_timeout", "gone too")),
    )

    assert DownloadedClip.from_line(row.to_line()) == row
    assert decode_row(row, DecodeConfig()).about["codes"] == ["http_404", "cover_timeout"]


def test_a_file_that_is_no_longer_the_one_that_download_saw_is_refused(media: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes((media / "both.mp4").read_bytes())
    row = downloaded(path)
    path.write_bytes((media / "silent.mp4").read_bytes())

    assert decode_row(row, DecodeConfig()).outcome.code == "changed_since_download"
    path.unlink()
    assert decode_row(row, DecodeConfig()).outcome.code == "file_missing"


def test_a_shard_holds_every_clip_in_order_and_is_the_same_each_time(media: Path, tmp_path: Path) -> None:
    names = ["both.mp4", "empty.mp4", "half.mp4", "page.mp4", "silent.mp4", "sound.mp4", "short.mp4", "odd.mkv"]
    clips = [downloaded(media / name, media / "cover.jpg", clip_id=f"猫/{name}") for name in names]
    digests = []
    for workers in (1, 3):
        path = tmp_path / f"{workers}.tar"
        ticks: list[None] = []
        tick = functools.partial(ticks.append, None)
        outcomes = decode_to(path, clips, DecodeConfig(), workers=workers, on_clip=tick).outcomes
        assert [outcome.clip_id for outcome in outcomes] == [clip.outcome.clip_id for clip in clips]
        assert [outcome.status for outcome in outcomes] == [
            "ok", "failed", "partial", "failed", "ok", "partial", "ok", "ok",
        ]  # fmt: skip
        assert len(ticks) == len(names)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    stored = list(read_parts(tmp_path / "1.tar"))
    assert tuple(clip.outcome for clip in stored) == outcomes
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1.tar", "3.tar"]


def test_a_binary_that_is_not_there_stops_the_stage(media: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"\[decode\] ffmpeg"):
        decode_to(tmp_path / "t", [downloaded(media / "both.mp4")], DecodeConfig(ffmpeg=str(tmp_path / "no")))


def test_a_shard_that_is_left_closes_no_file_that_a_worker_reads(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_reads = threading.Event()
    errors: list[Exception] = []
    calls = itertools.count()

    def measure_slowly(matroska: IO[bytes], **options: bool) -> StoredStreams:
        if next(calls) == 1:
            second_reads.set()
            # Time enough for the shard to be left and its decoder to be closed.
            time.sleep(0.5)
        try:
            return measure(matroska, **options)
        except Exception as error:
            errors.append(error)
            raise

    def stop() -> None:
        assert second_reads.wait(30)
        raise SystemExit(143)

    monkeypatch.setattr("features.decoding.clip.measure", measure_slowly)
    rows = [downloaded(media / "both.mp4", clip_id=f"clip-{number}") for number in range(3)]
    with pytest.raises(SystemExit):
        decode_to(tmp_path / "shard.tar", rows, DecodeConfig(), on_clip=stop)
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["shard.tar"]
