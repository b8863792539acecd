"""Files that are made to harm: each gets a code, none reaches another file, the network, or much memory."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.base.process import Limits, run
from features.decoding.commands import VIDEO_FORMATS, clip_command
from features.decoding.config import DecodeConfig
from features.downloads.media_kinds import COVER_KINDS, EXTRA_VIDEO_KINDS, SNIFF_BYTES, VIDEO_KINDS, kind_of
from tests.features.decoding.test_clip_rules import decode
from tests.features.media import ffmpeg, render, render_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
    "hls_key": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n"
    '#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n',
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    '<image href="{target}" width="9" height="9"/></svg>',
    "smil": '<smil><body><video src="{target}"/></body></smil>',
    "redirect": "RTSPtext\n{target}\n",
    "avisynth": 'DirectShowSource("{target}")\n',
}


@pytest.fixture
def callers() -> Iterator[tuple[int, list[str]]]:
    """The port of a loopback server, and who called."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def watch() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, address = server.accept()
                    seen.append(str(address))
                    connection.close()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("prefix", ["", "\ufeff", "\n\n"])
def test_download_takes_no_text_for_a_video(name: str, prefix: str) -> None:
    head = (prefix + TEXTS[name].format(target="secret.mp4")).encode()[:SNIFF_BYTES]
    assert kind_of(head) not in VIDEO_KINDS | COVER_KINDS | EXTRA_VIDEO_KINDS


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", sorted(VIDEO_FORMATS))
def test_no_demuxer_reads_a_text_that_names_other_files(
    tmp_path: Path, media: Path, callers: tuple[int, list[str]], name: str, kind: str
) -> None:
    port, seen = callers
    for target in (str(media / "both.mp4"), f"http://127.0.0.1:{port}/a.mp4", f"tcp://127.0.0.1:{port}"):
        path = tmp_path / "clip.mp4"
        path.write_text(TEXTS[name].format(target=target), encoding="utf-8")
        done = run(clip_command(ffmpeg(), str(path), kind, DecodeConfig()), Limits(20))
        assert done.stdout == b""
    assert seen == []
    # What is no kind of media is decoded as an mp4.
    assert kind != "mp4" or decode(path).outcome.status == "failed"


def test_the_server_would_be_called_without_the_guards(tmp_path: Path, callers: tuple[int, list[str]]) -> None:
    port, seen = callers
    path = tmp_path / "clip.m3u8"
    path.write_text(TEXTS["hls"].format(target=f"http://127.0.0.1:{port}/a.ts"), encoding="utf-8")
    command = clip_command(ffmpeg(), str(path), "mp4", DecodeConfig())
    for option in ("-format_whitelist", "-f", "-protocol_whitelist"):
        place = command.index(option)
        del command[place : place + 2]
    command[1:1] = ["-protocol_whitelist", "file,http,tcp"]
    run(command, Limits(20))
    assert seen


def test_a_file_of_one_kind_is_not_read_as_another(tmp_path: Path) -> None:
    render_clip(tmp_path / "a.mkv", seconds=0.5, options=())
    for kind in sorted(set(VIDEO_FORMATS) - {"matroska"}):
        done = run(clip_command(ffmpeg(), str(tmp_path / "a.mkv"), kind, DecodeConfig()), Limits(20))
        assert done.stdout == b"", kind


def test_a_file_of_two_kinds_is_read_as_what_its_first_bytes_say(tmp_path: Path) -> None:
    # A whole mp4 whose last bytes are a playlist, and one whose first box holds it.
    whole = render_clip(tmp_path / "a.mp4", seconds=1.0).read_bytes()
    text = TEXTS["hls"].format(target="/etc/hostname").encode()
    size = struct.unpack(">I", whole[:4])[0]
    free = struct.pack(">I4s", len(text) + 8, b"free") + text
    for name, data in (("end", whole + text), ("inside", whole[:size] + whole[size:] + free)):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(data)
        assert kind_of(data[:SNIFF_BYTES]) == "mp4"
        assert decode(path).outcome.status == "ok"


def peak_megabytes(path: Path, cover: Path | None, **settings: object) -> tuple[list[str], int]:
    """Decode in a process of its own; return the codes and the peak memory of ffmpeg."""
    code = (
        "import json, resource, sys; from pathlib import Path\n"
        "from tests.features.decoding.test_clip_rules import decode\n"
        "video, cover, settings = json.loads(sys.argv[1])\n"
        "clip = decode(Path(video), Path(cover) if cover else None, **settings)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024\n"
        "print(json.dumps([clip.about['codes'], peak]))\n"
    )
    arguments = json.dumps([str(path), str(cover) if cover else None, settings])
    place = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, arguments], check=True, capture_output=True, cwd=place, timeout=60
    )
    codes, peak = json.loads(done.stdout)
    return codes, peak


def bomb_png(path: Path, side: int, bits: int = 8) -> Path:
    """Write a black PNG, whose rows compress a thousandfold."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    num_bytes = side * (1 + side * bits // 8)
    piece = 10_000_000
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    # After a full flush the same bytes may follow again and again.
    packed = packer.compress(bytes(piece)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(num_bytes % piece)) + packer.flush()
    # Adler-32 of n zeros is n mod 65521 above 1.
    check = struct.pack(">HH", num_bytes % 65521, 1)
    header = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)
    rows = b"\x78\x01" + packed * (num_bytes // piece) + rest + check
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.slow
def test_bombs_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    quick = "log-level=none:min-cu-size=32:max-tu-size=32:rd=1:no-sao=1:no-deblock=1:aq-mode=0:rc-lookahead=0:bframes=0"
    options = ("-c:v", "libx265", "-x265-params", quick, "-preset", "ultrafast", "-frames:v", "1")
    video = render(tmp_path / "a.mp4", ["color=red:size=8192x8192:rate=1:duration=1"], *options)
    cover = bomb_png(tmp_path / "a.png", 30_000)
    assert cover.stat().st_size < 10_000_000
    codes, peak = peak_megabytes(video, cover)
    assert codes == ["too_many_pixels", "cover_too_many_pixels"]
    assert peak < 250


def test_a_process_that_wants_more_memory_than_it_may_have_fails(tmp_path: Path) -> None:
    # 16,200 x 16,200 values of two bytes are 525 MB, which the limit on pixels would let pass here.
    cover = bomb_png(tmp_path / "a.png", 16_200, bits=16)
    render_clip(tmp_path / "a.mp4", seconds=0.2)
    codes, peak = peak_megabytes(tmp_path / "a.mp4", cover, max_pixels=500_000_000, max_process_megabytes=512)
    assert codes == ["cover_too_much_memory"]
    assert peak < 512
