from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.base.errors import ShardError
from features.base.process import Limits, run
from features.decoding.commands import clip_command
from features.decoding.config import DecodeConfig
from features.decoding.covers import CoverForm, cover_command
from features.decoding.diagnostics import StoredStreams, measure
from features.formats.matroska import PICTURE_PIXELS, clip_pictures, read_cover, read_waveform
from features.formats.tar_shard import open_tar_shard
from tests.features.media import decode_to, downloaded, ffmpeg, read_frames, render, render_picture

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def stored(media: Path) -> dict[str, bytes]:
    """Stored clips by the stem of their source."""
    names = ("both", "silent", "sound")
    commands = {name: clip_command(ffmpeg(), str(media / f"{name}.mp4"), "mp4", DecodeConfig()) for name in names}
    return {name: run(command, Limits(20)).stdout for name, command in commands.items()}


def test_streams_are_counted_without_decoding(stored: dict[str, bytes]) -> None:
    both, sound = measure(io.BytesIO(stored["both"])), measure(io.BytesIO(stored["sound"]))
    assert (both.num_frames, sound.num_frames) == (4, 0)
    assert [both.audio_seconds, sound.audio_seconds] == pytest.approx([2.0, 2.0], abs=0.07)
    assert [both.audio_end_seconds, sound.audio_end_seconds] == pytest.approx([2.0, 2.0], abs=0.07)
    assert measure(io.BytesIO(stored["silent"])) == StoredStreams(4, 1.5, 0.0, 0.0)


def test_a_stream_that_is_not_there_is_none(stored: dict[str, bytes]) -> None:
    assert read_frames(stored["sound"]) is None
    assert read_waveform(stored["silent"]) is None


def test_colours_come_back_as_red_green_blue(tmp_path: Path) -> None:
    path = render(tmp_path / "red.mp4", ["color=0xE02010:size=64x48:rate=2:duration=1"], "-c:v", "libx264")
    frames = read_frames(run(clip_command(ffmpeg(), str(path), "mp4", DecodeConfig()), Limits(20)).stdout)
    assert frames is not None
    np.testing.assert_allclose(frames.images.mean(axis=(0, 1, 2)), [0xE0, 0x20, 0x10], atol=6)
    assert frames.time_seconds.dtype == np.float32


def test_sound_keeps_its_loudness_and_its_place(tmp_path: Path) -> None:
    # A tone of amplitude 1/8 that starts at 0.5 s, while the picture starts at 0.
    picture, sound = "testsrc2=size=64x48:rate=4:duration=2", "sine=frequency=500:sample_rate=48000:duration=1"
    options = ("-c:v", "ffv1", "-af", "asetpts=PTS+0.5/TB", "-c:a", "pcm_s16le")
    path = render(tmp_path / "late.mkv", [picture, sound], *options)
    waveform = read_waveform(run(clip_command(ffmpeg(), str(path), "matroska", DecodeConfig()), Limits(20)).stdout)
    assert waveform is not None
    assert waveform.start_seconds == pytest.approx(0.5, abs=0.01)
    assert waveform.samples.dtype == np.float32
    assert np.abs(waveform.samples).max() == pytest.approx(0.125, abs=0.005)
    assert len(waveform.samples) == pytest.approx(16000, abs=200)


def test_a_cover_is_one_picture_at_time_zero(media: Path) -> None:
    command = cover_command(ffmpeg(), str(media / "cover.jpg"), "jpeg", DecodeConfig(), CoverForm())
    cover = read_cover(run(command, Limits(20)).stdout)
    assert cover.images.shape == (1, 48, 64, 3)
    assert cover.time_seconds.tolist() == [0.0]


@pytest.mark.parametrize("read", [lambda data: measure(io.BytesIO(data)), read_frames, read_waveform])
def test_bytes_that_are_no_clip_are_a_damaged_shard(read: object, stored: dict[str, bytes]) -> None:
    assert callable(read)
    for data in (b"", b"rubbish" * 100, stored["both"][:20]):
        with pytest.raises(ShardError, match="a stored clip cannot be opened"):
            read(data)


def test_a_stored_frame_that_is_damaged_is_a_damaged_shard(stored: dict[str, bytes]) -> None:
    data = bytearray(stored["silent"])
    start = data.index(b"\xff\xd8\xff", len(data) // 2)
    data[start : start + 400] = bytes(400)
    with pytest.raises(ShardError, match="a stored frame cannot be decoded"):
        read_frames(bytes(data))


@pytest.fixture(scope="module")
def decoded(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    # One second each of red, green and blue; the middle is green.
    colours = "color=red:{0}[a];color=0x00C000:{0}[b];color=blue:{0}[c];[a][b][c]concat=n=3"
    source = colours.format("size=640x320:rate=4:duration=1")
    clips = [
        downloaded(render(folder / "colours.mp4", [source], "-c:v", "libx264"), media / "cover.jpg", clip_id="colours"),
        downloaded(media / "sound.mp4", render_picture(folder / "wide.png", size="480x120"), clip_id="cover"),
        downloaded(media / "empty.mp4", clip_id="nothing"),
        downloaded(media / "both.mp4", clip_id="not asked for"),
    ]
    decode_to(folder / "a.tar", clips, DecodeConfig(workers=1))
    return folder / "a.tar"


def test_a_clip_is_shown_by_its_middle_frame_or_its_cover(decoded: Path) -> None:
    pictures = clip_pictures(open_tar_shard(decoded), {"colours", "cover", "nothing", "nobody"})
    assert sorted(pictures) == ["colours", "cover"]
    with Image.open(io.BytesIO(pictures["colours"])) as picture:
        assert (picture.format, picture.size) == ("JPEG", (PICTURE_PIXELS, PICTURE_PIXELS // 2))
        red, green, blue = np.asarray(picture).mean(axis=(0, 1))
    assert green > 150
    assert max(red, blue) < 40
    with Image.open(io.BytesIO(pictures["cover"])) as picture:
        assert picture.size == (PICTURE_PIXELS, PICTURE_PIXELS // 4)


def test_nothing_asked_is_nothing_shown(decoded: Path) -> None:
    assert clip_pictures(open_tar_shard(decoded), ()) == {}
