"""One test for each rule of docs/decode.md, with a file that ffmpeg renders here."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from features.base.outcomes import Outcome
from features.decoding.config import DecodeConfig
from features.formats.matroska import read_cover, read_waveform
from tests.features.media import ClipParts, decode_row, downloaded, ffmpeg, read_frames, render, render_clip

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
TONE = "sine=frequency=440:sample_rate=16000:duration={seconds}"


def decode(video: Path | None, cover: Path | None = None, **settings: Any) -> ClipParts:  # noqa: ANN401 - of any type
    return decode_row(downloaded(video, cover), DecodeConfig(**settings))


def frames_of(clip: ClipParts) -> npt.NDArray[np.uint8]:
    assert clip.matroska is not None, clip.outcome
    frames = read_frames(clip.matroska)
    assert frames is not None
    return frames.images


def times_of(clip: ClipParts) -> list[float]:
    assert clip.matroska is not None, clip.outcome
    frames = read_frames(clip.matroska)
    return [] if frames is None else [round(float(second), 3) for second in frames.time_seconds]


def sound_of(clip: ClipParts) -> tuple[float, npt.NDArray[np.float32]]:
    assert clip.matroska is not None, clip.outcome
    waveform = read_waveform(clip.matroska)
    assert waveform is not None
    return waveform.start_seconds, waveform.samples


def raw(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg(), "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True, timeout=60)


def cut(path: Path, share: float) -> Path:
    whole = path.read_bytes()
    result = path.with_name(f"cut-{path.name}")
    result.write_bytes(whole[: int(len(whole) * share)])
    return result


@pytest.mark.parametrize(("sar", "shape"), [("2/1", (24, 64)), ("1/2", (48, 32)), ("1/1", (48, 64)), ("1/16", (48, 4))])
def test_pixels_become_square_and_no_side_grows(tmp_path: Path, sar: str, shape: tuple[int, int]) -> None:
    path = render(tmp_path / "a.mkv", [f"testsrc2=size=64x48:rate=4:duration=1,setsar={sar}"], "-c:v", "ffv1")
    clip = decode(path)
    assert frames_of(clip).shape[1:3] == shape
    assert clip.matroska is not None
    with av.open(io.BytesIO(clip.matroska)) as container:
        assert container.streams.video[0].sample_aspect_ratio in {None, 1}


def test_a_rotated_picture_stands_upright(tmp_path: Path) -> None:
    # The left half is white; turned by a quarter it is the upper or the lower half.
    source = "color=black:size=64x48:rate=4:duration=1,drawbox=w=32:h=48:c=white:t=fill"
    plain = render(tmp_path / "plain.mp4", [source], *X264)
    raw("-display_rotation", "90", "-i", plain, "-c", "copy", tmp_path / "turned.mp4")
    frames = frames_of(decode(tmp_path / "turned.mp4"))
    assert frames.shape[1:3] == (64, 48)
    halves = frames[0].mean(axis=(1, 2)).reshape(2, 32).mean(axis=1)
    assert abs(halves[0] - halves[1]) > 200


def test_frames_of_a_variable_rate_are_those_that_stand_at_the_times(tmp_path: Path) -> None:
    # 10 frames in the first second, then one that stays for a second, then 10 in the third.
    source = "testsrc2=size=64x48:rate=10:duration=3,select='lt(t,1.05)+gte(t,2)'"
    path = render(tmp_path / "a.mp4", [source], *X264, "-fps_mode", "vfr")
    clip = decode(path, frames_per_second=4.0)
    assert times_of(clip) == [index / 4 for index in range(12)]
    frames = frames_of(clip).astype(int)
    assert np.abs(frames[4] - frames[7]).mean() < 1
    assert np.abs(frames[3] - frames[4]).mean() > 1


def test_frames_marked_as_interlaced_lose_their_combs(tmp_path: Path) -> None:
    # A white bar that moves; the lines of one frame are of two moments.
    source = (
        "color=black:size=128x96:rate=20:duration=1[b];color=white:size=24x96:rate=20[w];"
        "[b][w]overlay=x=t*100:shortest=1"
    )
    combs = {}
    for name, options in (("marked", ("-flags", "+ilme+ildct", "-alternate_scan", "1")), ("unmarked", ())):
        path = render(
            tmp_path / f"{name}.mpg",
            [f"{source},interlace=lowpass=off"],
            "-c:v",
            "mpeg2video",
            "-q:v",
            "2",
            "-r",
            "25",
            *options,
        )
        grey = frames_of(decode(path, frames_per_second=5.0)).mean(axis=3)
        combs[name] = np.abs(grey[:, 1:-1] * 2 - grey[:, :-2] - grey[:, 2:]).mean()
    assert combs["marked"] < combs["unmarked"] / 3


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p", "yuv422p10le", "gray"])
def test_depths_and_subsamplings_become_eight_bits(tmp_path: Path, pixels: str) -> None:
    path = render(
        tmp_path / "a.mkv", ["color=0x808080:size=64x48:rate=4:duration=1"], "-c:v", "ffv1", "-pix_fmt", pixels
    )
    np.testing.assert_allclose(frames_of(decode(path)), 0x80, atol=3)


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_white_lies_under_a_transparent_picture_before_it_is_scaled(tmp_path: Path, suffix: str, ink: int) -> None:
    # The transparent pixels between the lines hide black.
    lines = np.zeros((192, 192), bool)
    lines[::6] = True
    path = tmp_path / f"a.{suffix}"
    if suffix == "gif":
        picture = Image.fromarray(lines.astype(np.uint8), "P")
        picture.putpalette([0, 0, 0] + [ink] * 3)
        picture.save(path, transparency=0, save_all=True, append_images=[picture.rotate(180)], disposal=2)
        shown = frames_of(decode(path, short_side_pixels=64))[0]
    else:
        pixels = np.where(lines[..., None], [ink, ink, ink, 255], 0).astype(np.uint8)
        Image.fromarray(pixels, "RGBA").save(path, lossless=True, exact=True)
        clip = decode(None, path, short_side_pixels=64)
        assert clip.cover is not None
        shown = read_cover(clip.cover).images[0]
    on_white = Image.fromarray(np.where(lines, ink, 255).astype(np.uint8), "L")
    expected = np.asarray(on_white.resize((64, 64), Image.Resampling.BICUBIC), float)
    assert shown.shape == (64, 64, 3)
    assert np.abs(shown.mean(axis=2) - expected).mean() < 6


def test_under_the_alpha_of_a_video_its_own_colour_counts(tmp_path: Path) -> None:
    source = "color=red:size=64x48:rate=4:duration=1,format=rgba,colorchannelmixer=aa=0"
    path = render(tmp_path / "a.mov", [source], "-c:v", "png", "-pix_fmt", "rgba")
    assert frames_of(decode(path))[..., 0].mean() > 240


def test_an_attached_picture_is_no_video(tmp_path: Path) -> None:
    render(tmp_path / "cover.png", ["color=red:size=320x240:rate=1:duration=1"], "-frames:v", "1")
    render_clip(tmp_path / "film.mp4", seconds=1.0)
    attach = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic")
    raw("-i", tmp_path / "cover.png", "-i", tmp_path / "film.mp4", *attach, tmp_path / "both.mp4")
    assert frames_of(decode(tmp_path / "both.mp4")).shape == (2, 48, 64, 3)
    render(tmp_path / "tone.m4a", [TONE.format(seconds=1)])
    raw("-i", tmp_path / "cover.png", "-i", tmp_path / "tone.m4a", *attach, tmp_path / "song.mp4")
    assert decode(tmp_path / "song.mp4").outcome.code == "no_video_stream"


@pytest.mark.parametrize("sampling", ["exact", "fast"])
def test_sound_without_a_picture_is_kept(media: Path, sampling: str) -> None:
    clip = decode(media / "sound.mp4", sampling=sampling)
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "no_video_stream")
    assert sound_of(clip)[1].size == pytest.approx(32000, abs=1100)


def test_the_first_of_several_tracks_counts(tmp_path: Path) -> None:
    inputs = ["color=red:size=64x48:rate=4:duration=1", "color=blue:size=96x96:rate=4:duration=1"]
    inputs += [f"sine=frequency={hertz}:sample_rate=16000:duration=1" for hertz in (440, 1000)]
    maps = [word for index in range(4) for word in ("-map", str(index))]
    path = render(tmp_path / "a.mp4", inputs, *maps, *X264, "-c:a", "aac", "-disposition:v:1", "default")
    clip = decode(path)
    assert frames_of(clip).shape[1:3] == (48, 64)
    _, samples = sound_of(clip)
    assert np.argmax(np.abs(np.fft.rfft(samples[4000:12000]))) == 220


@pytest.mark.parametrize(("picture", "sound"), [(2, 8), (8, 2)])
def test_a_stream_that_is_shorter_than_the_other_is_no_damage(tmp_path: Path, picture: int, sound: int) -> None:
    inputs = [f"testsrc2=size=64x48:rate=10:duration={picture}", TONE.format(seconds=sound)]
    clip = decode(render(tmp_path / "a.mp4", inputs, *X264, "-c:a", "aac"))
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "")
    assert clip.about["num_frames"] == clip.about["expected_frames"] == 2 * picture
    assert clip.about["audio_seconds"] == pytest.approx(sound, abs=0.1)


def test_times_start_where_the_first_stream_starts(tmp_path: Path) -> None:
    render_clip(tmp_path / "a.mp4", seconds=2.0)
    for name, options in (("later.mkv", ("-output_ts_offset", "7")), ("shifted.ts", ("-muxdelay", "3"))):
        raw("-i", tmp_path / "a.mp4", "-c", "copy", *options, tmp_path / name)
        clip = decode(tmp_path / name)
        assert times_of(clip)[0] <= 0.5
        assert times_of(clip)[-1] <= 2.0
        assert sound_of(clip)[0] < 0.1


def test_a_picture_that_starts_later_keeps_its_place(tmp_path: Path) -> None:
    render_clip(tmp_path / "a.mp4", seconds=2.0, sound=False)
    sound = ("-f", "lavfi", "-i", TONE.format(seconds=3))
    raw("-itsoffset", "1.2", "-i", tmp_path / "a.mp4", *sound, "-c:v", "copy", "-c:a", "pcm_s16le", tmp_path / "a.mkv")
    clip = decode(tmp_path / "a.mkv")
    assert times_of(clip)[0] == 1.5
    assert sound_of(clip)[0] == pytest.approx(0.0, abs=0.01)


def test_an_edit_list_that_skips_the_beginning_is_followed(tmp_path: Path) -> None:
    # Black for a second, then white; copied from 1.0 s on, the earlier frames stay in the file, hidden.
    source = "color=black:size=64x48:rate=10:duration=1[a];color=white:size=64x48:rate=10:duration=2[b];[a][b]concat"
    render(tmp_path / "a.mp4", [source], *X264, "-g", "100")
    raw("-ss", "1.0", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    clip = decode(tmp_path / "b.mp4")
    assert times_of(clip) == [0.0, 0.5, 1.0, 1.5]
    assert frames_of(clip).min() > 200


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("live.mkv", ("-f", "matroska", "-live", "1")),
        ("fragments.mp4", ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")),
        ("stream.ts", ()),
    ],
)
def test_a_file_whose_header_states_no_duration_is_whole(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    render_clip(tmp_path / "a.mp4", seconds=3.0)
    raw("-i", tmp_path / "a.mp4", "-c", "copy", *options, tmp_path / name)
    clip = decode(tmp_path / name)
    assert clip.outcome.status == "ok"
    # Without an edit list the picture starts, and so ends, later than the sound by what the reordering delays.
    assert times_of(clip)[:6] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_without_a_duration_the_missing_bytes_tell_of_damage(tmp_path: Path) -> None:
    render_clip(tmp_path / "a.mp4", seconds=3.0, rate=25, size="320x240")
    raw("-i", tmp_path / "a.mp4", "-c", "copy", "-f", "matroska", "-live", "1", tmp_path / "live.mkv")
    clip = decode(cut(tmp_path / "live.mkv", 0.5))
    assert clip.about["duration_seconds"] is None
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "truncated")


def test_sound_that_was_cut_is_partial(tmp_path: Path) -> None:
    # The picture is tiny, so that nearly all bytes are sound, and comes first.
    inputs = ["color=red:size=16x16:rate=2:duration=6", "anoisesrc=sample_rate=16000:duration=6:amplitude=0.5"]
    options = (
        "-c:a",
        "pcm_s16le",
        "-max_interleave_delta",
        "100M",
        "-chunk_duration",
        "10000000",
        "-movflags",
        "+faststart",
    )
    path = render(tmp_path / "a.mov", inputs, *X264, *options)
    clip = decode(cut(path, 0.5))
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "truncated")
    assert clip.about["audio_seconds"] < 5


def test_one_frame_and_very_short_and_very_fast_clips(tmp_path: Path) -> None:
    one = render(tmp_path / "one.mp4", ["testsrc2=size=64x48:rate=1:duration=1"], "-frames:v", "1", *X264)
    fast = render(tmp_path / "fast.mkv", ["testsrc2=size=64x48:rate=1000:duration=0.6"], "-c:v", "ffv1")
    short = render_clip(tmp_path / "short.mp4", seconds=0.1, sound=False)
    for path, times in ((one, [0.0, 0.5]), (fast, [0.0, 0.5]), (short, [0.0])):
        clip = decode(path)
        assert (clip.outcome.status, times_of(clip)) == ("ok", times)
        assert decode(path, num_frames=1).about["num_frames"] == 1


@pytest.mark.parametrize("settings", [{}, {"motion_frames_per_second": 4.0, "sampling": "fast"}])
def test_a_picture_of_two_lines_has_its_frames(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = render(tmp_path / "a.mkv", ["color=white:size=2x2:rate=5:duration=1"], "-c:v", "ffv1")
    clip = decode(path, **settings)
    assert (clip.outcome.status, times_of(clip)) == ("ok", [0.0, 0.5])
    assert clip.about.get("num_motion_frames", 4) == 4


def test_after_a_change_of_size_frames_get_the_first_size(tmp_path: Path) -> None:
    parts = []
    for index, size in enumerate(("64x48", "96x96")):
        source = f"testsrc2=size={size}:rate=10:duration=1"
        path = render(tmp_path / f"{index}.ts", [source], "-c:v", "mpeg2video", "-output_ts_offset", str(index))
        parts.append(path.read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    assert frames_of(decode(tmp_path / "a.ts")).shape[1:] == (48, 64, 3)
    assert len(times_of(decode(tmp_path / "a.ts"))) >= 3


def test_a_sound_track_without_a_sample_leaves_the_picture(tmp_path: Path) -> None:
    render_clip(tmp_path / "a.mp4", seconds=1.0)
    raw(
        "-i",
        tmp_path / "a.mp4",
        "-map",
        "0:v",
        "-map",
        "0:a",
        "-c",
        "copy",
        "-bsf:a",
        "noise=drop=1",
        tmp_path / "b.mov",
    )
    clip = decode(tmp_path / "b.mov")
    assert (clip.outcome.status, clip.about["num_frames"], clip.about["audio_seconds"]) == ("ok", 2, 0.0)


# A moving AVIF holds a still picture, too, and before its film.
@pytest.mark.parametrize("suffix", ["gif", "webp", "avif"])
def test_a_moving_picture_is_a_video(tmp_path: Path, suffix: str) -> None:
    images = [Image.new("RGB", (64, 48), color) for color in ("red", "blue", "red", "blue")]
    path = tmp_path / f"a.{suffix}"
    images[0].save(path, save_all=True, append_images=images[1:], duration=500, lossless=True)
    frames = frames_of(decode(path)).astype(int)
    assert len(frames) == 4
    assert [int(frame[24, 32, 0] > frame[24, 32, 2]) for frame in frames] == [1, 0, 1, 0]


def test_a_picture_that_claims_a_long_time_is_capped(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (64, 48), "blue")], duration=655_000
    )
    clip = decode(tmp_path / "a.gif", max_seconds=5.0)
    assert clip.outcome.status == "ok"
    assert 1 <= clip.about["num_frames"] <= 10
    assert decode(tmp_path / "a.gif", max_frames=7).about["num_frames"] == 7


@pytest.mark.parametrize("num_frames", [1, 4, 9])
def test_a_fixed_number_of_frames_is_spread_over_the_clip(tmp_path: Path, num_frames: int) -> None:
    path = render_clip(tmp_path / "a.mp4", seconds=6.0)
    clip = decode(path, num_frames=num_frames)
    assert clip.outcome.status == "ok"
    assert clip.about["num_frames"] == clip.about["expected_frames"] == num_frames
    middles = (np.arange(num_frames) + 0.5) * 6.0 / num_frames
    assert np.abs(np.array(times_of(clip)) - middles).max() < 6.0 / num_frames / 2
    assert sound_of(clip)[1].size == pytest.approx(96000, abs=1100)


def test_a_fixed_number_of_a_file_that_was_cut_is_partial(tmp_path: Path) -> None:
    path = render_clip(tmp_path / "a.mp4", seconds=6.0, rate=25, size="320x240")
    clip = decode(cut(path, 0.5), num_frames=4)
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "truncated")
    assert clip.about["num_frames"] == 4


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    # Two hours, a frame in two seconds: their JPEGs are 3,600 of 15 KB.
    path = render(tmp_path / "a.mkv", ["testsrc2=size=256x256:rate=1/8:duration=7200"], *X264)
    code = (
        "import json, resource, sys; from pathlib import Path\n"
        "from features.decoding.config import DecodeConfig; from tests.features.media import decode_to, downloaded\n"
        "config = DecodeConfig(frames_per_second=0.5, max_seconds=8000, max_frames=8000, memory_megabytes=16)\n"
        "path = Path(sys.argv[1])\n"
        "found = decode_to(path.with_suffix('.tar'), [downloaded(path)], config)\n"
        "from tests.memory import peak_megabytes; own = peak_megabytes()\n"
        "children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024\n"
        "size = path.with_suffix('.tar').stat().st_size\n"
        "print(json.dumps([found.outcomes[0].status, size, own, children]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[3],
        timeout=120,
    )
    status, num_bytes, own_megabytes, child_megabytes = json.loads(done.stdout)
    assert status == "ok"
    assert num_bytes > 48 << 20
    assert own_megabytes < 130
    assert child_megabytes < 300


@pytest.mark.parametrize("title", ["Exiting normally, received signal 15.", "A truncated cone", "Invalid data found"])
def test_what_a_file_says_of_itself_is_not_what_ffmpeg_says(tmp_path: Path, title: str) -> None:
    options = ("-metadata", f"title={title}", "-movflags", "+faststart")
    clip = decode(render_clip(tmp_path / "a.mp4", seconds=1.0, options=options))
    assert clip.outcome == Outcome("clip", "ok")


def test_a_stream_that_pauses_or_ends_early_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    # ffmpeg of itself waits 10 s for a stream, and then the threads decide what comes first: five of five differed.
    picture = "testsrc2=size=64x64:rate=4:duration=26,select='lt(t,3)+gt(t,22)'"
    paused = render(tmp_path / "a.mkv", [picture, TONE.format(seconds=26)], *X264, "-fps_mode", "vfr", "-c:a", "aac")
    assert len({decode(paused, frames_per_second=10.0).matroska for _ in range(4)}) == 1
