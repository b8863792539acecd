from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.downloads.media_spec import COVER_KINDS, SNIFF_BYTES, VIDEO_KINDS, kind_of
from tests.features.media import render_clip

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
        (b"RIFF\x00\x00\x00\x00WAVE", ""),
        (b"G" + b"x" * 200, ""),
        (b"{}", ""),
    ],
)
def test_what_is_no_video(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind
    assert kind not in VIDEO_KINDS | COVER_KINDS


@pytest.mark.parametrize("box", [b"ftyp", b"moov", b"mdat", b"wide"])
def test_quicktime_files_start_with_one_of_some_boxes(box: bytes) -> None:
    assert kind_of(b"\x00\x00\x00\x20" + box) == "mp4"
