"""One stream that is bad leaves the other one; each kind of badness has a code of its own, and words."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from features.base.outcomes import Outcome
from features.decoding.config import DecodeConfig
from features.downloads.download_rows import FROM_MANIFEST, DownloadedClip, MediaFile
from tests.features.decoding.test_clip_rules import TONE, X264, cut, decode, frames_of, raw, sound_of, times_of
from tests.features.media import PICTURE, SOUND, decode_row, render, render_clip

if TYPE_CHECKING:
    from pathlib import Path

    from tests.features.media import ClipParts

KEY = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "00" * 16, "-encryption_kid", "11" * 16)
SUBTITLE = "1\n00:00:00,000 --> 00:00:01,000\nnow\n\n2\n00:00:20,000 --> 00:00:30,000\nlater\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of a second: 10 frames and a tone."""
    return render_clip(tmp_path_factory.mktemp("streams") / "base.mp4", seconds=1.0, options=())


def renamed(base: Path, path: Path, entry: tuple[bytes, bytes], description: tuple[bytes, bytes]) -> Path:
    """Copy an MP4 with other names for a sample entry and its description."""
    data = base.read_bytes()
    place = data.index(entry[0], data.index(b"stsd"))
    data = data[:place] + entry[1] + data[place + 4 :]
    place = data.index(description[0], place)
    path.write_bytes(data[:place] + description[1] + data[place + 4 :])
    return path


def copied(base: Path, path: Path, *options: str) -> Path:
    raw("-i", base, "-c", "copy", *options, path)
    return path


def is_only_picture(clip: ClipParts) -> bool:
    return times_of(clip) == [0.0, 0.5] and clip.about["audio_seconds"] == 0.0


def is_only_sound(clip: ClipParts) -> bool:
    return times_of(clip) == [] and sound_of(clip)[1].size == pytest.approx(16000, abs=1500)


# No ffmpeg decodes these: Apple's spatial codec, ATSC 3, MPEG-H.
@pytest.mark.parametrize(("entry", "description"), [(b"apac", b"dapa"), (b"ac-4", b"dac4"), (b"mhm1", b"mhaC")])
@pytest.mark.parametrize("settings", [{}, {"sampling": "fast", "motion_frames_per_second": 4.0, "num_frames": 2}])
def test_sound_of_a_codec_that_is_not_known_leaves_the_picture(
    base: Path, tmp_path: Path, entry: bytes, description: bytes, settings: dict[str, Any]
) -> None:
    clip = decode(renamed(base, tmp_path / "a.mp4", (b"mp4a", entry), (b"esds", description)), **settings)
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "sound_not_decodable")
    assert clip.outcome.detail.endswith(") cannot be decoded: this ffmpeg has no decoder for it")
    assert clip.outcome.detail.startswith("the sound (")
    assert clip.about["num_frames"] == clip.about["expected_frames"] == 2
    assert clip.about["audio_seconds"] == 0.0


def test_a_picture_of_a_codec_that_is_not_known_leaves_the_sound(base: Path, tmp_path: Path) -> None:
    path = renamed(base, tmp_path / "a.mp4", (b"avc1", b"bvc2"), (b"avcC", b"bvcC"))
    for settings in ({}, {"sampling": "fast"}, {"motion_frames_per_second": 4.0}, {"num_frames": 2}):
        clip = decode(path, **settings)
        assert (clip.outcome.status, clip.outcome.code) == ("partial", "picture_not_decodable")
        assert clip.outcome.detail == "the picture (bvc2) cannot be decoded: this ffmpeg has no decoder for it"
        assert is_only_sound(clip)


@pytest.mark.parametrize(
    ("name", "options"),
    [("noise.mkv", ("-bsf:v", "noise=amount=1")), ("described.mp4", ()), ("noise.mp4", ("-bsf:v", "noise=amount=1"))],
)
def test_a_picture_that_is_noise_or_lost_its_description_leaves_the_sound(
    base: Path, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = tmp_path / name
    if options:
        copied(base, path, *options)
    else:
        path.write_bytes(base.read_bytes().replace(b"avcC", b"free"))
    clip = decode(path)
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "picture_not_decodable")
    assert is_only_sound(clip)


def test_a_picture_that_is_shorter_than_sound_that_cannot_be_decoded_is_whole(tmp_path: Path) -> None:
    inputs = [PICTURE.format(size="64x48", rate=4, seconds=1), TONE.format(seconds=5)]
    path = render(tmp_path / "a.mp4", inputs, *X264, "-c:a", "aac")
    clip = decode(renamed(path, tmp_path / "b.mp4", (b"mp4a", b"apac"), (b"esds", b"dapa")))
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "sound_not_decodable")
    assert is_only_picture(clip)


def test_sound_that_is_noise_leaves_the_picture(base: Path, tmp_path: Path) -> None:
    clip = decode(copied(base, tmp_path / "a.mp4", "-bsf:a", "noise=amount=1"))
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "sound_not_decodable")
    assert clip.outcome.detail == "the sound (aac) cannot be decoded: its packets are damaged"
    assert is_only_picture(clip)


def test_of_ambisonics_the_sound_from_all_directions_is_kept(base: Path, tmp_path: Path) -> None:
    # Tones of 300, 400, 500 and 600 Hz in the channels W, Y, Z and X.
    tones = "|".join(f"0.2*sin({300 + 100 * n}*2*PI*t)" for n in range(4))
    source = ("-f", "lavfi", "-i", f"aevalsrc='{tones}':c='ambisonic 1':s=48000:d=1")
    codec = ("-c:v", "copy", "-c:a", "libopus", "-mapping_family", "2")
    raw("-i", base, *source, "-map", "0:v", "-map", "1:a", *codec, tmp_path / "a.mkv")
    clip = decode(tmp_path / "a.mkv")
    assert clip.outcome == Outcome("clip", "ok")
    assert times_of(clip) == [0.0, 0.5]
    samples = sound_of(clip)[1][4000:12000]
    spectrum = np.abs(np.fft.rfft(samples)) / len(samples) * 2
    # A bin is 2 Hz.
    assert np.argmax(spectrum) == 150
    assert spectrum[150] == pytest.approx(0.2, rel=0.1)
    assert spectrum[[200, 250, 300]].max() < 0.01


def test_sound_without_the_description_that_its_decoder_needs_leaves_the_picture(base: Path, tmp_path: Path) -> None:
    raw("-i", base, "-c:v", "copy", "-c:a", "alac", tmp_path / "a.mkv")
    data = (tmp_path / "a.mkv").read_bytes()
    # The element CodecPrivate of the second track becomes one that nobody knows.
    place = data.rindex(b"\x63\xa2", 0, data.index(b"\x1f\x43\xb6\x75"))
    (tmp_path / "a.mkv").write_bytes(data[:place] + b"\x63\xa3" + data[place + 2 :])
    clip = decode(tmp_path / "a.mkv")
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "sound_not_decodable")
    assert clip.outcome.detail == "the sound (alac) cannot be decoded: its description is missing or damaged"
    assert is_only_picture(clip)


@pytest.mark.parametrize("transfer", ["bt709", "arib-std-b67"])
def test_a_track_of_timecode_takes_nothing_away(base: Path, tmp_path: Path, transfer: str) -> None:
    # ffmpeg 9 lists the picture and the track that it refers to as a group.
    tags = f"h264_metadata=transfer_characteristics={18 if transfer == 'arib-std-b67' else 1}"
    path = copied(base, tmp_path / "a.mp4", "-bsf:v", tags, "-timecode", "00:00:00:00")
    clip = decode(path)
    assert (clip.outcome.status, clip.about["codes"]) == ("ok", [])
    assert clip.about.get("hdr", "") == ("hlg" if transfer == "arib-std-b67" else "")
    assert clip.about["num_frames"] == decode(base).about["num_frames"]
    assert clip.about["audio_seconds"] > 0
    path = renamed(path, tmp_path / "b.mp4", (b"mp4a", b"apac"), (b"esds", b"dapa"))
    assert decode(path).about["codes"] == ["sound_not_decodable"]


@pytest.mark.parametrize("name", ["a.ts", "a.mkv"])
def test_a_stream_that_is_named_but_empty_leaves_the_other_one(base: Path, tmp_path: Path, name: str) -> None:
    clip = decode(copied(base, tmp_path / name, "-bsf:a", "noise=drop=1"))
    assert (clip.outcome.status, clip.outcome.code) == ("ok", "sound_empty")
    assert "nothing of it was read" in clip.outcome.detail
    assert is_only_picture(clip)
    clip = decode(copied(base, tmp_path / f"b-{name}", "-bsf:v", "noise=drop=1"))
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "no_video_stream")
    assert "no frame of it was read" in clip.outcome.detail
    assert is_only_sound(clip)


def test_when_both_streams_are_bad_the_clip_says_so_of_each(base: Path, tmp_path: Path) -> None:
    path = renamed(base, tmp_path / "a.mp4", (b"avc1", b"bvc2"), (b"avcC", b"bvcC"))
    path = renamed(path, tmp_path / "b.mp4", (b"mp4a", b"apac"), (b"esds", b"dapa"))
    clip = decode(path)
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "picture_not_decodable")
    assert "the picture (bvc2)" in clip.outcome.detail
    assert "the sound (" in clip.outcome.detail
    assert clip.matroska is None


def test_where_nothing_comes_of_a_sound_track_the_next_one_stands_in(tmp_path: Path) -> None:
    inputs = [PICTURE.format(size="64x48", rate=4, seconds=1), TONE.format(seconds=1), TONE.format(seconds=1)]
    maps = ("-map", "0", "-map", "1", "-map", "2", "-c:a:0", "aac", "-c:a:1", "flac")
    path = render(tmp_path / "a.mp4", inputs, *maps, *X264)
    renamed(path, tmp_path / "unknown.mp4", (b"mp4a", b"apac"), (b"esds", b"dapa"))
    copied(path, tmp_path / "empty.mkv", "-map", "0", "-bsf:a:0", "noise=drop=1")
    raw("-i", path, *maps[:2], "-map", "0:a:0", *X264, "-c:a", "aac", "-bsf:a:0", "noise=drop=1", tmp_path / "empty.ts")
    for name in ("unknown.mp4", "empty.mkv", "empty.ts"):
        clip = decode(tmp_path / name)
        assert clip.outcome == Outcome("clip", "ok"), name
        assert sound_of(clip)[1].size == pytest.approx(16000, abs=1500), name


def test_encrypted_tracks_of_an_mp4_are_not_decoded(base: Path, tmp_path: Path) -> None:
    clip = decode(copied(base, tmp_path / "both.mp4", *KEY))
    assert (clip.outcome.status, clip.outcome.code) == ("failed", "encrypted")
    assert clip.matroska is None
    # Either track beside a plain one of the other kind.
    for name, plain in (("video", b"enca"), ("audio", b"encv")):
        data = bytearray((tmp_path / "both.mp4").read_bytes())
        place = data.index(plain, data.index(b"stsd"))
        data[place : place + 4] = b"mp4a" if plain == b"enca" else b"avc1"
        (tmp_path / f"{name}.mp4").write_bytes(data)
        assert decode(tmp_path / f"{name}.mp4").outcome.code == "encrypted"


@pytest.mark.parametrize("track", ["picture", "sound"])
def test_an_encrypted_track_leaves_a_plain_one(base: Path, tmp_path: Path, track: str) -> None:
    # The sample entry of a protected track around the plain one; ffmpeg alone would read both.
    data = base.read_bytes()
    entry, protected = (b"avc1", b"encv") if track == "picture" else (b"mp4a", b"enca")
    place = data.index(entry, data.index(b"stsd"))
    (tmp_path / "a.mp4").write_bytes(data[:place] + protected + data[place + 4 :])
    clip = decode(tmp_path / "a.mp4")
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "encrypted")
    assert is_only_sound(clip) if track == "picture" else is_only_picture(clip)
    assert clip.outcome.detail == f"the {track} is encrypted"


def test_an_encrypted_track_of_matroska_is_not_decoded(base: Path, tmp_path: Path) -> None:
    # ContentEncodings with a ContentEncryption, in place of the track's title of as many bytes.
    encodings = b"\x6d\x80\x8a\x62\x40\x87\x50\x33\x81\x01\x50\x35\x80"
    raw("-i", base, "-c", "copy", "-metadata:s:v", f"title={'x' * 10}", tmp_path / "a.mkv")
    data = (tmp_path / "a.mkv").read_bytes()
    title = b"\x53\x6e\x8a" + b"x" * 10
    assert data.count(title) == 1
    (tmp_path / "a.mkv").write_bytes(data.replace(title, encodings))
    clip = decode(tmp_path / "a.mkv")
    assert clip.outcome.code == "encrypted"
    assert is_only_sound(clip)


@pytest.mark.parametrize(("pids", "status"), [({0x100}, "partial"), ({0x101}, "partial"), ({0x100, 0x101}, "failed")])
def test_scrambled_packets_of_a_transport_stream_are_encrypted(
    base: Path, tmp_path: Path, pids: set[int], status: str
) -> None:
    data = bytearray(copied(base, tmp_path / "a.ts").read_bytes())
    noise = random.Random(0)  # noqa: S311 - no secret
    for start in range(0, len(data), 188):
        if (data[start + 1] & 0x1F) << 8 | data[start + 2] in pids and data[start + 3] & 0x10:
            payload = start + 4 + (data[start + 4] + 1 if data[start + 3] & 0x20 else 0)
            data[start + 3] |= 0x80
            data[payload : start + 188] = noise.randbytes(start + 188 - payload)
    (tmp_path / "a.ts").write_bytes(data)
    clip = decode(tmp_path / "a.ts")
    assert (clip.outcome.status, clip.outcome.code) == (status, "encrypted")
    if pids == {0x100}:
        assert is_only_sound(clip)
    if pids == {0x101}:
        assert is_only_picture(clip)


@pytest.mark.parametrize(("types", "status"), [({0xDB}, "partial"), ({0xCF}, "partial"), ({0xDB, 0xCF}, "failed")])
def test_sample_encryption_of_a_transport_stream_is_not_decoded(
    base: Path, tmp_path: Path, types: set[int], status: str
) -> None:
    # The types of streams in the programme map, 0x1B for H.264 and 0x0F for AAC, and the checksum behind them.
    data = bytearray(copied(base, tmp_path / "a.ts").read_bytes())
    for start in range(0, len(data), 188):
        if (data[start + 1] & 0x1F) << 8 | data[start + 2] == 0x1000:
            section = memoryview(data)[start + 5 : start + 8 + data[start + 7]]
            for place, plain, encrypted in ((12, 0x1B, 0xDB), (17, 0x0F, 0xCF)):
                assert section[place] == plain
                section[place] = encrypted if encrypted in types else plain
            section[-4:] = crc32_of_mpeg(section[:-4]).to_bytes(4, "big")
    (tmp_path / "a.ts").write_bytes(data)
    clip = decode(tmp_path / "a.ts")
    assert (clip.outcome.status, clip.outcome.code) == (status, "encrypted")
    if types == {0xDB}:
        assert is_only_sound(clip)
    if types == {0xCF}:
        assert is_only_picture(clip)


def crc32_of_mpeg(data: memoryview) -> int:
    """Return the checksum of ISO 13818-1, annex A."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


class Kind(NamedTuple):
    """A way to write a sound file."""

    name: str
    options: tuple[str, ...] = ()


SOUND_FILES = [
    Kind("a.mp3"), Kind("bare.mp3", ("-id3v2_version", "0", "-write_xing", "0")), Kind("a.aac"), Kind("a.wav"),
    Kind("rf64.wav", ("-rf64", "always")), Kind("a.flac"), Kind("a.ogg", ("-c:a", "libvorbis")), Kind("a.opus"),
    Kind("a.mp2"),
]  # fmt: skip


@pytest.mark.parametrize("kind", SOUND_FILES, ids=lambda kind: kind.name)
def test_a_sound_file_is_a_clip_without_a_picture(tmp_path: Path, kind: Kind) -> None:
    clip = decode(render(tmp_path / kind.name, [SOUND.format(seconds=1)], *kind.options))
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "no_video_stream")
    _, samples = sound_of(clip)
    assert samples.size == pytest.approx(16000, abs=1800)
    # The loudest of 1,000 frequencies is the one that was rendered.
    assert np.argmax(np.abs(np.fft.rfft(samples[4000:12000]))) == 220


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.m4a"])
def test_a_sound_file_that_was_cut_says_so(tmp_path: Path, name: str) -> None:
    # Noise, so that its packets have one size.
    options = ("-movflags", "+faststart") if name == "a.m4a" else ()
    path = render(tmp_path / name, ["anoisesrc=sample_rate=16000:duration=4:amplitude=0.5:seed=1"], *options)
    whole, half = decode(path), decode(cut(path, 0.5))
    assert whole.about["codes"] == ["no_video_stream"]
    assert half.about["codes"] == ["no_video_stream", "truncated"]
    assert half.outcome.detail.endswith("of 4.0 s")
    assert 1 < half.about["audio_seconds"] < 3


def test_a_cover_in_a_sound_file_is_no_video(base: Path, tmp_path: Path) -> None:
    # Noise, so that it fills more bytes than are looked at.
    render(tmp_path / "cover.png", ["nullsrc=size=160x160,geq=random(1)*255:128:128"], "-frames:v", "1")
    attach = ("-map", "0:a", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic")
    for name in ("a.mp3", "a.flac"):
        raw("-i", base, "-i", tmp_path / "cover.png", *attach, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 3 * 4096
        clip = decode(tmp_path / name)
        assert clip.outcome.code == "no_video_stream"
        assert is_only_sound(clip)


def test_an_ogg_video_has_picture_and_sound(tmp_path: Path) -> None:
    inputs = [PICTURE.format(size="64x48", rate=10, seconds=1), SOUND.format(seconds=1)]
    clip = decode(render(tmp_path / "a.ogv", inputs, "-c:v", "libtheora", "-c:a", "libvorbis"))
    assert clip.outcome == Outcome("clip", "ok")
    assert times_of(clip) == [0.0, 0.5]
    assert sound_of(clip)[1].size == pytest.approx(16000, abs=200)


def test_transport_streams_and_quicktime_start_in_many_ways(base: Path, tmp_path: Path) -> None:
    whole = decode(base)
    disc = copied(base, tmp_path / "a.m2ts", "-f", "mpegts", "-mpegts_m2ts_mode", "1").read_bytes()
    plain = copied(base, tmp_path / "a.ts").read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x3f" + bytes(63)
    # An offset of a chunk counts from the start of the file, so the box stands in place of one behind the header.
    quicktime = copied(base, tmp_path / "a.mov", "-movflags", "+faststart").read_bytes()
    size = struct.unpack(">I", quicktime[:4])[0]
    starts = {"disc.m2ts": disc, "cut.m2ts": disc[77:], "cut.ts": plain[100:], "tag.ts": tag + plain}
    for box in (b"free", b"skip", b"pnot", b"styp", b"wide"):
        starts[f"{box.decode()}.mov"] = struct.pack(">I4s", size, box) + quicktime[8:]
    for name, data in starts.items():
        (tmp_path / name).write_bytes(data)
        clip = decode(tmp_path / name)
        assert clip.outcome == Outcome("clip", "ok"), name
        # The sound of a transport stream starts before the picture.
        assert times_of(clip)[:2] == [0.0, 0.5], name
        assert np.abs(frames_of(clip)[:2].astype(int) - frames_of(whole)).mean() < 12, name


def test_longer_subtitles_are_no_damage(base: Path, tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SUBTITLE, encoding="utf-8")
    maps = ("-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "copy", "-c:s", "srt")
    raw("-i", base, "-i", tmp_path / "a.srt", *maps, tmp_path / "a.mkv")
    assert decode(tmp_path / "a.mkv").outcome == Outcome("clip", "ok")


def test_another_track_that_is_longer_is_no_damage(tmp_path: Path) -> None:
    inputs = [PICTURE.format(size="64x48", rate=4, seconds=1), TONE.format(seconds=1), TONE.format(seconds=5)]
    maps = ("-map", "0", "-map", "1", "-map", "2", "-c:a", "aac")
    assert decode(render(tmp_path / "a.mkv", inputs, *maps, *X264)).outcome == Outcome("clip", "ok")


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_jump_of_the_clock_is_no_damage(base: Path, tmp_path: Path, order: str) -> None:
    parts = {"a": copied(base, tmp_path / "a.ts"), "b": copied(base, tmp_path / "b.ts", "-output_ts_offset", "1000")}
    (tmp_path / "c.ts").write_bytes(b"".join(parts[name].read_bytes() for name in order))
    clip = decode(tmp_path / "c.ts")
    assert clip.outcome == Outcome("clip", "ok")
    assert len(times_of(clip)) in {4, 5}
    assert clip.about["audio_seconds"] == pytest.approx(2.0, abs=0.2)
    assert clip.about["duration_seconds"] == pytest.approx(2.0, abs=0.2)


def test_a_decoder_s_remark_about_a_short_message_is_no_damage(base: Path, tmp_path: Path) -> None:
    # A message of type 5 that claims 255 bytes and has one, in front of the first picture; the sound ends early, so
    # that missing bytes would make the clip truncated.
    elementary = copied(base, tmp_path / "a.h264", "-an").read_bytes()
    (tmp_path / "a.h264").write_bytes(b"\0\0\1\x06\x05\xfe\x80" + elementary)
    short = ("-f", "lavfi", "-i", TONE.format(seconds=0.3))
    raw("-r", "10", "-i", tmp_path / "a.h264", *short, "-c:v", "copy", "-c:a", "pcm_s16le", tmp_path / "a.mkv")
    assert decode(tmp_path / "a.mkv").outcome == Outcome("clip", "ok")


def test_thousands_of_complaints_do_not_hide_which_streams_there_are(tmp_path: Path) -> None:
    # Every packet of the picture is noise: while the streams are looked for, each gives a line for each slice.
    inputs = [PICTURE.format(size="64x512", rate=50, seconds=4), SOUND.format(seconds=4)]
    base = render(tmp_path / "a.mkv", inputs, *X264, "-x264-params", "slices=32", "-c:a", "aac")
    clip = decode(copied(base, tmp_path / "b.mkv", "-bsf:v", "noise=amount=1"))
    assert (clip.outcome.status, clip.outcome.code) == ("partial", "picture_not_decodable")
    assert sound_of(clip)[1].size == pytest.approx(64000, abs=1500)


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts", "avi"])
def test_a_file_that_cannot_be_read_any_more_is_an_outcome(tmp_path: Path, kind: str) -> None:
    # A folder in its place: a superuser may read every file.
    path = str(tmp_path.relative_to("/"))
    file = MediaFile(FROM_MANIFEST, path, kind, tmp_path.stat().st_size, "0" * 64)
    outcome = decode_row(DownloadedClip(Outcome("clip", "ok"), file), DecodeConfig()).outcome
    assert (outcome.status, outcome.code) == ("failed", "file_unreadable")
    assert outcome.detail == "the file cannot be read: Is a directory"
