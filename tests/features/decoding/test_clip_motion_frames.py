"""The denser frames for motion: the rules of the sampled frames hold for them, and change nothing of those."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from features.base.errors import SettingError
from features.decoding.config import DecodeConfig
from features.decoding.diagnostics import measure
from features.formats.matroska import frame_streams, stored_pictures
from tests.features.media import ClipParts, decode_row, decode_to, downloaded, render, render_clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt


X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def decode(video: Path | None, **settings: Any) -> ClipParts:  # noqa: ANN401 - of any type
    return decode_row(downloaded(video), DecodeConfig(**{"motion_frames_per_second": 12.0, **settings}))


def dense_of(clip: ClipParts) -> tuple[list[float], npt.NDArray[np.uint8]]:
    """Return times and pixels of the frames for motion."""
    assert clip.matroska is not None, clip.outcome
    pictures = list(stored_pictures(io.BytesIO(clip.matroska), 1))
    return [round(picture.time_seconds, 3) for picture in pictures], np.stack([p.pixels() for p in pictures])


def packets_of(clip: ClipParts) -> list[list[tuple[int, bytes]]]:
    """Return time and bytes of what is stored, for each stream: frames, motion, sound."""
    if clip.matroska is None:
        return []
    with av.open(io.BytesIO(clip.matroska)) as container:
        streams: list[list[tuple[int, bytes]]] = [[] for _ in container.streams]
        for packet in container.demux():
            if packet.size:
                streams[packet.stream.index].append((packet.pts, bytes(packet)))
    return streams


def bar_of_two_moments(path: Path) -> Path:
    """Film a white bar that moves; the lines of one frame are of two moments, and the frames are marked so."""
    source = (
        "color=black:size=128x96:rate=20:duration=1[b];color=white:size=24x96:rate=20[w];"
        "[b][w]overlay=x=t*100:shortest=1,interlace=lowpass=off"
    )
    return render(
        path,
        [source],
        *["-c:v", "mpeg2video", "-q:v", "2", "-r", "25", "-flags", "+ilme+ildct", "-alternate_scan", "1"],
    )


def moving_gif(path: Path) -> Path:
    first, second = (Image.new("RGBA", (64, 48), (level, 40, 0, level)) for level in (255, 90))
    first.save(path, save_all=True, append_images=[second, first], duration=500, disposal=2)
    return path


def two_sizes(path: Path) -> Path:
    parts = []
    for index, size in enumerate(("64x48", "96x96")):
        part = path.with_name(f"{index}.ts")
        source = f"testsrc2=size={size}:rate=10:duration=1"
        parts.append(render(part, [source], "-c:v", "mpeg2video", "-output_ts_offset", str(index)).read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def ffv1(picture: str, *options: str) -> Callable[[Path], Path]:
    return lambda path: render(path, [picture], "-c:v", "ffv1", *options)


def rendered(**settings: Any) -> Callable[[Path], Path]:  # noqa: ANN401 - of any type
    return lambda path: render_clip(path, **settings)


KINDS: dict[str, Callable[[Path], Path]] = {
    "both.mp4": rendered(),
    "silent.mp4": rendered(sound=False),
    "sound.mp4": rendered(picture=False),
    "short.mp4": rendered(seconds=0.1),
    "fast.mp4": rendered(rate=60, options=("-bf", "3", "-preset", "medium")),
    "one.mp4": lambda path: render(path, ["testsrc2=size=64x48:rate=1:duration=1"], "-frames:v", "1", *X264),
    "odd.mkv": ffv1("testsrc2=size=65x49:rate=10:duration=1"),
    "wide.mkv": ffv1("testsrc2=size=64x48:rate=4:duration=1,setsar=2/1"),
    "deep.mkv": ffv1("testsrc2=size=64x48:rate=4:duration=1", "-pix_fmt", "yuv444p10le"),
    "colours.mkv": ffv1("testsrc2=size=64x48:rate=4:duration=1", "-pix_fmt", "bgr0"),
    "grey.mkv": ffv1("testsrc2=size=64x48:rate=4:duration=1", "-pix_fmt", "gray"),
    "alpha.mkv": ffv1("testsrc2=size=64x48:rate=4:duration=1", "-pix_fmt", "yuva420p"),
    "varied.mp4": lambda path: render(
        path, ["testsrc2=size=64x48:rate=10:duration=3,select='lt(t,1.05)+gte(t,2)'"], *X264, "-fps_mode", "vfr"
    ),
    "combs.mpg": bar_of_two_moments,
    "sizes.ts": two_sizes,
    "moving.gif": moving_gif,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("settings", [{}, {"num_frames": 3, "sampling": "fast"}, {"codec": "lossless"}])
def test_sampled_frames_and_sound_are_the_same_bytes_with_and_without(
    tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    path = KINDS[name](tmp_path / name)
    without, once = decode(path, motion_frames_per_second=0.0, **settings), decode(path, **settings)
    assert once.outcome == without.outcome
    assert once.matroska == decode(path, **settings).matroska
    alone, together = packets_of(without), packets_of(once)
    has_picture = name != "sound.mp4"
    assert len(together) == len(alone) + has_picture
    assert together[:1] + together[1 + has_picture :] == alone
    dense = together[1] if has_picture else []
    assert once.about == {
        **without.about,
        "num_motion_frames": len(dense),
        # Of sound alone the duration tells.
        "expected_motion_frames": len(dense) if has_picture else 24,
    }
    assert bool(dense) == has_picture


@pytest.mark.parametrize("name", ["page.mp4", "empty.mp4", "tenth.mp4", "half.mp4"])
def test_what_is_said_of_a_damaged_file_is_the_same(media: Path, name: str) -> None:
    without, with_motion = decode(media / name, motion_frames_per_second=0.0), decode(media / name)
    assert with_motion.outcome == without.outcome
    assert packets_of(with_motion)[:1] == packets_of(without)[:1]


def test_a_file_that_was_cut_says_how_many_frames_for_motion_are_missing(media: Path) -> None:
    clip = decode(media / "half.mp4")
    assert clip.outcome.code == "truncated"
    assert 0 < clip.about["num_motion_frames"] < 30
    assert clip.about["expected_motion_frames"] == 36  # 12 a second of the 3 s that the header states


def test_a_song_with_an_attached_picture_has_no_frames_for_motion(tmp_path: Path) -> None:
    render(tmp_path / "cover.png", ["color=red:size=320x240:rate=1:duration=1"], "-frames:v", "1")
    path = tmp_path / "song.mp4"
    attached = ("-i", str(tmp_path / "cover.png"), "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "aac")
    render(path, ["sine=duration=1"], *attached, "-disposition:v:0", "attached_pic")
    clip = decode(path)
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "no_video_stream")
    assert clip.about["num_motion_frames"] == 0
    assert clip.about["audio_seconds"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("rate", [1.0, 7.5, 12.0, 25.0])
def test_they_stand_at_multiples_of_their_own_interval(media: Path, rate: float) -> None:
    clip = decode(media / "silent.mp4", motion_frames_per_second=rate)
    times, _ = dense_of(clip)
    # Matroska counts in milliseconds.
    np.testing.assert_allclose(times, np.arange(2 * rate) / rate, atol=6e-4)
    assert clip.about["num_frames"] == 4


def test_they_show_what_stood_there_at_their_time(tmp_path: Path) -> None:
    source = "color=black:size=64x48:rate=12:duration=1[a];color=white:size=64x48:rate=12:duration=1[b];[a][b]concat"
    _, images = dense_of(decode(render(tmp_path / "step.mp4", [source], *X264)))
    assert list(images.mean(axis=(1, 2, 3)) > 128) == [False] * 12 + [True] * 12


def test_they_are_shrunk_to_their_own_short_side_and_never_enlarged(media: Path) -> None:
    large = decode(media / "large.mp4", motion_short_side_pixels=90, short_side_pixels=180)
    assert large.matroska is not None
    frames, motion = (next(stored_pictures(io.BytesIO(large.matroska), position)) for position in (0, 1))
    assert (frames.pixels().shape, motion.pixels().shape) == ((180, 320, 3), (90, 160, 3))
    assert dense_of(decode(media / "portrait.mp4"))[1].shape[1:] == (96, 48, 3)


def test_they_are_deinterlaced_too(tmp_path: Path) -> None:
    _, images = dense_of(decode(bar_of_two_moments(tmp_path / "a.mpg"), motion_frames_per_second=5.0))
    grey = images.astype(float).mean(axis=3)
    # Unmarked, the combs of the same frames come to more than 20.
    assert np.abs(grey[:, 1:-1] * 2 - grey[:, :-2] - grey[:, 2:]).mean() < 3


def test_their_number_is_capped_apart_from_that_of_the_sampled_ones(media: Path, tmp_path: Path) -> None:
    clip = decode(media / "large.mp4", max_motion_frames=5, max_frames=4)
    assert (clip.about["num_motion_frames"], clip.about["num_frames"]) == (5, 4)
    assert clip.outcome.status == "ok"
    # 24 in 2 s, and one that is on screen when the reading ends.
    assert decode(media / "large.mp4", max_seconds=2.0).about["num_motion_frames"] in {24, 25}
    images = [Image.new("RGB", (64, 48), color) for color in ("red", "blue")]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=655_000)
    long = decode(tmp_path / "a.gif", max_seconds=5.0)
    assert 1 <= long.about["num_motion_frames"] <= 61


def test_the_facts_of_a_clip_say_where_the_frames_of_each_modality_are(media: Path) -> None:
    path = media / "both.mp4"
    with_motion, without = decode(path), decode(path, motion_frames_per_second=0.0)
    assert frame_streams(with_motion.about) == {"frames": 0, "motion": 1}
    assert frame_streams(without.about) == {"frames": 0}


def test_a_fixed_number_of_frames_leaves_those_for_motion_whole(media: Path) -> None:
    path = media / "both.mp4"
    by_rate, by_number = decode(path), decode(path, num_frames=3)
    assert by_number.about["num_frames"] == 3
    assert packets_of(by_number)[1] == packets_of(by_rate)[1]
    assert by_number.matroska is not None
    stored = measure(io.BytesIO(by_number.matroska))
    assert (stored.num_frames, stored.num_dense_frames) == (3, (24,))


@pytest.mark.parametrize("codec", ["mjpeg", "lossless"])
def test_streams_of_very_different_rates_do_not_wait_for_each_other_for_ever(tmp_path: Path, codec: str) -> None:
    path = render_clip(tmp_path / "a.mp4", seconds=8.0, rate=60, size="64x48")
    clip = decode(path, codec=codec, frames_per_second=0.2, motion_frames_per_second=60.0, timeout_seconds=20.0)
    assert clip.outcome.status == "ok"
    assert (clip.about["num_frames"], clip.about["num_motion_frames"]) == (2, pytest.approx(480, abs=2))


def test_a_shard_is_the_same_each_time_and_a_copy_of_it_too(media: Path, tmp_path: Path) -> None:
    clips = [downloaded(media / f"{name}.mp4", clip_id=name) for name in ("both", "sound", "page", "half")]
    config = DecodeConfig(motion_frames_per_second=10.0)
    paths = [tmp_path / name for name in ("a.tar", "b.tar", "c.tar")]
    decode_to(paths[0], clips, config)
    decode_to(paths[1], clips, config, workers=3)
    assert decode_to(paths[2], clips, config, previous=paths[0]).cpu_seconds == 0.0
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"motion_frames_per_second": -1.0}, {"motion_frames_per_second": float("nan")},
        {"motion_frames_per_second": float("inf")}, {"motion_short_side_pixels": 8}, {"max_motion_frames": 0},
    ],
)  # fmt: skip
def test_bad_settings_are_named_with_their_value(values: dict[str, Any]) -> None:
    ((name, value),) = values.items()
    with pytest.raises(SettingError, match=rf"^{name} is {value}: give "):
        DecodeConfig(**values)


def test_any_player_sees_two_video_streams_and_the_sound(media: Path, tmp_path: Path) -> None:
    matroska = decode(media / "both.mp4").matroska
    assert matroska is not None
    (tmp_path / "a.mkv").write_bytes(matroska)
    picture = render(tmp_path / "a.png", [], "-i", str(tmp_path / "a.mkv"), "-map", "0:v:1", "-frames:v", "1")
    with Image.open(picture) as image:
        assert image.size == (64, 48)
