from __future__ import annotations

import io
import random
import re
import struct
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from features.base.errors import ClipError
from features.downloads.media_kinds import (
    COVER_KINDS,
    MAX_TAG_BYTES,
    SNIFF_BYTES,
    SOUND_KINDS,
    VIDEO_KINDS,
    KindSniffer,
    kind_of,
)
from features.downloads.media_spec import MediaSpec, StreamingValidator
from tests.features.heif import box, heif
from tests.features.media import SOUND, render, render_clip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp4", "mp4"), ("a.mov", "mp4"), ("a.mkv", "matroska"), ("a.avi", "avi"), ("a.flv", "flv"),
        ("a.ts", "mpegts"), ("a.mpg", "mpegps"),
    ],
)  # fmt: skip
def test_containers_are_known_by_what_ffmpeg_writes(tmp_path: Path, name: str, kind: str) -> None:
    options = ("-c:v", "mpeg1video", "-r", "25") if name == "a.mpg" else ()
    path = render_clip(tmp_path / name, seconds=0.4, sound=False, options=options)
    assert kind_of(path.read_bytes()[:SNIFF_BYTES]) == kind
    assert kind in VIDEO_KINDS


@pytest.mark.parametrize(("name", "kind"), [("cover.jpg", "jpeg"), ("cover.png", "png"), ("cover.webp", "webp")])
def test_pictures_are_known_by_what_ffmpeg_writes(media: Path, name: str, kind: str) -> None:
    assert kind_of((media / name).read_bytes()[:SNIFF_BYTES]) == kind
    assert kind in COVER_KINDS


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", ""),
        (b"\n\n  <!DOCTYPE HTML><title>404</title>", "html"),
        (b"<html lang=en>", "html"),
        (b"GIF89a", "gif"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", ""),
        (b"ffconcat version 1.0\nfile other.mp4\n", ""),
        (b"RIFF\x00\x00\x00\x00ACON", ""),
        (b"G" * SNIFF_BYTES, ""),
        ((b"G" + b"x" * 187) * 2, ""),
        ((b"G" + b"x" * 187) * 20, ""),
        (b"Get free stuff", ""),
        (b"\xff\xfe" + "Sound is not video. ".encode("utf-16-le") * 100, ""),
        # One header of a frame of MP3 is not enough.
        (b"\xff\xfb\x90\x64" + bytes(SNIFF_BYTES), ""),
        (b"\xff\xf1\x50\x80\x2e\x7f\xfc" + bytes(SNIFF_BYTES), ""),
        (b"{}", ""),
    ],
)
def test_what_is_no_video(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind
    assert kind not in VIDEO_KINDS
    # A GIF can be a cover.
    assert (kind in COVER_KINDS) == (kind == "gif")


@pytest.mark.parametrize("box", [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"uuid"])
def test_quicktime_files_start_with_one_of_some_boxes(box: bytes) -> None:
    assert kind_of(b"\x00\x00\x00\x20" + box) == "mp4"


def tagged(data: bytes, num_bytes: int) -> bytes:
    """Return ``data`` behind an ID3v2 tag of ``num_bytes`` beside its header, whose size has 7 bits a byte."""
    size = bytes(num_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + bytes(num_bytes) + data


def sniffed(data: bytes, num_bytes: int = 1000) -> str:
    """Return the kind of a file that arrives in pieces of ``num_bytes``."""
    sniffer = KindSniffer()
    for start in range(0, len(data), num_bytes):
        sniffer.update(data[start : start + num_bytes])
    return sniffer.kind()


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("a.mp3", (), "mp3"), ("bare.mp3", ("-id3v2_version", "0", "-write_xing", "0"), "mp3"),
        ("low.mp3", ("-ar", "8000", "-b:a", "8k"), "mp3"), ("high.mp3", ("-ar", "32000", "-b:a", "320k"), "mp3"),
        ("a.mp2", (), "mp3"), ("a.aac", (), "aac"), ("a.flac", (), "flac"),
        ("a.wav", (), "wav"), ("long.wav", ("-rf64", "always"), "wav"),
        ("a.ogg", ("-c:a", "libvorbis"), "ogg"), ("a.opus", (), "ogg"),
    ],
)  # fmt: skip
def test_sound_files_are_known_by_what_ffmpeg_writes(
    tmp_path: Path, name: str, options: tuple[str, ...], kind: str
) -> None:
    data = render(tmp_path / name, [SOUND.format(seconds=0.5)], *options).read_bytes()
    assert sniffed(data) == kind_of(data[:SNIFF_BYTES]) == kind
    assert kind in SOUND_KINDS | VIDEO_KINDS
    if kind in {"mp3", "aac", "flac"}:
        assert {sniffed(tagged(data, size)) for size in (20, 3 * SNIFF_BYTES, 200_000)} == {kind}
    if name in {"bare.mp3", "a.aac"}:
        # A stream that was cut within a frame.
        assert sniffed(data[50:]) == kind


@pytest.mark.parametrize("options", [(), ("-mpegts_m2ts_mode", "1")])
def test_transport_streams_are_known_wherever_they_start(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = render_clip(tmp_path / "a.ts", seconds=0.4, options=options).read_bytes()
    assert {sniffed(data[start:]) for start in (0, 1, 77, 187, 191)} == {"mpegts"}
    assert sniffed(tagged(data, 63)) == sniffed(tagged(data, 100_000)) == "mpegts"


def test_a_tag_makes_no_kind() -> None:
    ftyp = b"\x00\x00\x00\x20ftypisom" + bytes(20)
    for data in (b"", ftyp, b"<html>", b"#EXTM3U\n"):
        assert sniffed(tagged(data, 100)) == ""
    # A tag longer than any cover ends the search, and so does the fifth one.
    sniffer = KindSniffer()
    assert sniffer.update(tagged(bytes(SNIFF_BYTES), MAX_TAG_BYTES))
    assert sniffer.kind() == ""
    flac = b"fLaC" + bytes(40)
    assert sniffed(tagged(b"", 0) * 4 + flac) == "flac"
    assert sniffed(tagged(b"", 0) * 5 + flac) == ""


def test_no_random_bytes_have_a_kind() -> None:
    bytes_of = random.Random(0).randbytes  # noqa: S311 - no secret
    heads = [start + bytes_of(size) for start in (b"", b"\xff\xfb", b"\xff\xf1") for size in (300, 900) * 100]
    assert {kind_of(head) for head in heads} == {""}


def test_boxes_of_an_impossible_size_are_text() -> None:
    assert kind_of(struct.pack(">I4s", 7, b"free")) == kind_of(b"Buy free") == kind_of(b"The skip of it") == ""
    assert kind_of(struct.pack(">I4s", 1, b"skip")) == "mp4"


def test_a_photograph_in_heif_is_no_video(tmp_path: Path) -> None:
    for brand in (b"avif", b"heic", b"mif1", b"msf1"):
        still = heif(tmp_path, ["red"], brand=brand)
        assert kind_of(still[:SNIFF_BYTES]) == "heif", brand
    picture = Image.new("RGB", (32, 32), "red")
    moving, one = io.BytesIO(), io.BytesIO()
    picture.save(one, "AVIF")
    picture.save(moving, "AVIF", save_all=True, append_images=[Image.new("RGB", (32, 32), "blue")], duration=500)
    assert kind_of(one.getvalue()[:SNIFF_BYTES]) == "heif"
    assert kind_of(moving.getvalue()[:SNIFF_BYTES]) == "heif_sequence"
    assert "heif" not in VIDEO_KINDS
    assert {"heif", "heif_sequence"} <= COVER_KINDS
    assert "heif_sequence" in VIDEO_KINDS


@pytest.mark.parametrize(
    ("major", "others", "boxes", "kind"),
    [
        (b"isom", b"iso2avc1mp41", [(b"free", 0), (b"mdat", 9)], "mp4"),
        (b"mp42", b"mp42mif1", [(b"moov", 9)], "mp4"),
        (b"qt  ", b"qt  ", [(b"meta", 9), (b"moov", 9)], "mp4"),
        (b"heic", b"mif1heic", [(b"meta", 9000)], "heif"),
        (b"heic", b"mif1heic", [(b"mdat", 9000)], "heif"),
        (b"avis", b"avifavismif1", [(b"meta", 9000)], "heif_sequence"),
        (b"avif", b"avifavismif1", [(b"meta", 99), (b"moov", 9)], "heif_sequence"),
        (b"msf1", b"hevc", [(b"meta", 99), (b"mdat", 9)], "heif"),
        (b"xxxx", b"heicmif1", [(b"meta", 99), (b"mdat", 9)], "heif"),
    ],
)
def test_brands_hint_and_boxes_decide(major: bytes, others: bytes, boxes: list[tuple[bytes, int]], kind: str) -> None:
    head = box(b"ftyp", major, bytes(4), others) + b"".join(box(name, bytes(size)) for name, size in boxes)
    assert kind_of(head[:SNIFF_BYTES]) == kind


@pytest.mark.parametrize(
    ("head", "kinds", "words"),
    [
        (
            b"GIF89a",
            VIDEO_KINDS,
            "the file is gif (for moving ones, name gif in [download] extra_video_kinds), expected",
        ),
        (b"\xff\xd8\xff\xe0", VIDEO_KINDS, "the file is jpeg (a picture: give it as the cover), expected"),
        (b"<html>", VIDEO_KINDS, "the file is html, expected"),
        (b"<html>", COVER_KINDS, "the file is html, expected"),
    ],
)
def test_a_picture_in_the_place_of_a_video_gets_a_way_out(head: bytes, kinds: frozenset[str], words: str) -> None:
    validator = StreamingValidator(MediaSpec(kinds, "other_kind", max_bytes=100))
    validator.update(head)
    with pytest.raises(ClipError, match=re.escape(words)):
        validator.finish()
