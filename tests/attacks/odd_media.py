"""Media that are odd rather than hostile: streams that cannot be decoded, hold nothing, or say what is not so."""

from __future__ import annotations

import random
import struct
import subprocess
from typing import TYPE_CHECKING

from tests.features.media import SOUND, ffmpeg, render, render_clip

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "00" * 16, "-encryption_kid", "11" * 16)


def odd_media(folder: Path) -> dict[str, tuple[str, str]]:
    """Write the files below ``folder``; return what each is -> its name and the code that it must end in."""
    base = render_clip(folder / "odd-base.mp4", seconds=1, options=())
    found = {
        "sound of a codec that no ffmpeg knows": (_renamed(base, b"mp4a", b"esds"), "sound_not_decodable"),
        "picture of a codec that no ffmpeg knows": (_renamed(base, b"avc1", b"avcC"), "picture_not_decodable"),
        "picture of noise": (_copied(base, "odd-noise.mkv", "-bsf:v", "noise=amount=1"), "picture_not_decodable"),
        "sound that is named and empty": (_copied(base, "odd-silent.ts", "-bsf:a", "noise=drop=1"), "sound_empty"),
        "picture that is named and empty": (_copied(base, "odd-blind.ts", "-bsf:v", "noise=drop=1"), "no_video_stream"),
        "encrypted tracks": (_copied(base, "odd-encrypted.mp4", *KEY), "encrypted"),
        "scrambled packets": (_scrambled(base), "encrypted"),
        "clock that jumps by hours": (_jumping(base), ""),
        "sound file": (render(folder / "odd.mp3", [SOUND.format(seconds=1)]), "no_video_stream"),
        "sound file that claims gigabytes": (_boasting(folder), "no_video_stream"),
        "thousands of tags and no sound": (_written(folder / "odd-tags.mp3", _TAG * 9000), "not_a_video"),
        "tag that claims 256 MB": (
            _written(folder / "odd-tag.mp3", _TAG[:6] + b"\x7f" * 4 + _TAG * 9000),
            "not_a_video",
        ),
        "text in lines of 188 letters": (_written(folder / "odd-text.ts", (b"G" + b"x" * 187) * 99), "not_a_video"),
        "boxes within boxes without an end": (_written(folder / "odd-boxes.mp4", _BOX * 50_000), "no_video_stream"),
        "box of 2^64 bytes": (_written(folder / "odd-size.mp4", _FTYP + _LARGE + _BOX), "invalid_data"),
        "elements without an end": (
            _written(folder / "odd-elements.mkv", _EBML + b"\xec\x80" * 99_000),
            "decode_failed",
        ),
    }
    return {what: (path.name, code) for what, (path, code) in found.items()}


_TAG = b"ID3\x04\x00\x00\x00\x00\x00\x00"
_FTYP = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"
_BOX = b"\x00\x00\x00\x08moov"
_LARGE = b"\x00\x00\x00\x01moov" + b"\xff" * 8
_EBML = b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _copied(base: Path, name: str, *options: str) -> Path:
    path = base.with_name(name)
    argv = [ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", str(base), "-c", "copy", *options, str(path)]
    subprocess.run(argv, check=True, timeout=60)
    return path


def _renamed(base: Path, entry: bytes, description: bytes) -> Path:
    data = base.read_bytes()
    place = data.index(entry, data.index(b"stsd"))
    data = data[:place] + b"zzz1" + data[place + 4 :].replace(description, b"zzzC", 1)
    return _written(base.with_name(f"odd-{entry.decode()}.mp4"), data)


def _scrambled(base: Path) -> Path:
    data = bytearray(_copied(base, "odd-scrambled.ts").read_bytes())
    noise = random.Random(0)  # noqa: S311 - no secret
    for start in range(0, len(data), 188):
        if data[start + 1] & 0x1F == 1:
            data[start + 3] |= 0x80
            data[start + 100 : start + 188] = noise.randbytes(88)
    return _written(base.with_name("odd-scrambled.ts"), bytes(data))


def _jumping(base: Path) -> Path:
    late = _copied(base, "odd-late.ts", "-output_ts_offset", "20000").read_bytes()
    return _written(base.with_name("odd-jump.ts"), _copied(base, "odd-early.ts").read_bytes() + late)


def _boasting(folder: Path) -> Path:
    data = bytearray(render(folder / "odd.wav", [SOUND.format(seconds=1)]).read_bytes())
    for place in (4, data.index(b"data") + 4):
        data[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    return _written(folder / "odd-boast.wav", bytes(data))
