"""Files that are not what they say, or are far more than they look."""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import TYPE_CHECKING

from tests.features.heif import heif
from tests.features.media import PICTURE, SOUND, render

if TYPE_CHECKING:
    from pathlib import Path

SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="64">
<image xlink:href="{target}" width="64" height="64"/></svg>
"""
SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=stream
c=IN IP4 127.0.0.1
t=0 0
m=video {port} RTP/AVP 96
a=rtpmap:96 H264/90000
"""
DASH = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S" minBufferTime="PT1S"
 profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">
<Representation id="1" bandwidth="1000" codecs="avc1.64000a"><BaseURL>{target}</BaseURL></Representation>
</AdaptationSet></Period></MPD>
"""


def playlist(path: Path, target: str) -> Path:
    """Write an HLS playlist with one segment."""
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n"
    path.write_text(text, encoding="utf-8")
    return path


def concat_list(path: Path, target: str) -> Path:
    """Write a list for ffmpeg's concat demuxer."""
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n", encoding="utf-8")
    return path


def text_file(path: Path, text: str) -> Path:
    """Write a text."""
    path.write_text(text, encoding="utf-8")
    return path


def huge_png(path: Path, side: int = 30_000) -> Path:
    """Write a black picture of ``side`` x ``side`` pixels, one bit each: some kilobytes on the disk."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(1)
    row = bytes(1 + -(-side // 8))
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def huge_heif(path: Path) -> Path:
    """Write four tiles of 64 x 64 pixels that claim to make a picture of 60,000 x 60,000: some hundred bytes."""
    path.write_bytes(heif(path.parent, ["red", "lime", "blue", "white"], claimed_side=30_000))
    return path


def huge_video(path: Path) -> Path:
    """Write an HEVC film with two pictures of 8192 x 8192."""
    source = "color=black:size=8192x8192:rate=1:duration=2"
    return render(path, [source], "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")


def secret_film(path: Path) -> Path:
    """Write the film that no attack may get at."""
    return render(path, [PICTURE.format(size="64x48", rate=8, seconds=1), SOUND.format(seconds=1)])


def endless_zeros(path: Path, megabytes: int = 512) -> Path:
    """Write a gzip file of zeros that never ends a line."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(megabytes):
            stream.write(bytes(1 << 20))
    return path
