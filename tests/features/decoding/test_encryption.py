"""The look for encrypted tracks is bounded, and damage of a header is no error of it."""

from __future__ import annotations

import random
import struct
import time
from typing import TYPE_CHECKING

import pytest

from features.decoding.encryption import encrypted_streams, scrambled_pids

if TYPE_CHECKING:
    from pathlib import Path


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def track(handler: bytes, *entries: bytes) -> bytes:
    described = struct.pack(">II", 0, len(entries)) + b"".join(box(entry, bytes(8)) for entry in entries)
    table = box(b"minf", box(b"stbl", box(b"stsd", described)))
    return box(b"trak", box(b"mdia", box(b"hdlr", bytes(8), handler, bytes(12)), table))


def element(number: int, content: bytes) -> bytes:
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + (1 << 56 | len(content)).to_bytes(8, "big") + content


def matroska(*tracks: tuple[int, bool]) -> bytes:
    entries = [
        element(
            0xAE, element(0x83, bytes([kind])) + (element(0x6D80, element(0x6240, element(0x5035, b""))) * encrypted)
        )
        for kind, encrypted in tracks
    ]
    segment = element(0x1549A966, bytes(9)) + element(0x1654AE6B, b"".join(entries)) + element(0x1F43B675, bytes(50))
    return element(0x1A45DFA3, bytes(5)) + element(0x18538067, segment)


MOVIE = box(b"moov", box(b"mvhd", bytes(100)), track(b"vide", b"encv"), track(b"soun", b"mp4a"))


@pytest.mark.parametrize(
    ("data", "kind", "found"),
    [
        (box(b"ftyp", bytes(8)) + MOVIE, "mp4", {"picture"}),
        (box(b"mdat", bytes(5000)) + box(b"moov", track(b"vide", b"avc1"), track(b"soun", b"enca")), "mp4", {"sound"}),
        # A clear beginning has a sample entry of its own.
        (box(b"moov", track(b"vide", b"avc1", b"encv"), track(b"soun", b"drms")), "mp4", {"picture", "sound"}),
        (box(b"moov", track(b"vide", b"avc1"), track(b"subt", b"encv")), "mp4", set()),
        # The word in the samples is none in the header.
        (box(b"mdat", track(b"vide", b"encv")) + box(b"moov", track(b"vide", b"avc1")), "mp4", set()),
        (struct.pack(">I4sQ", 1, b"mdat", 24) + bytes(8) + MOVIE, "mp4", {"picture"}),
        (matroska((1, True), (2, False)), "matroska", {"picture"}),
        (matroska((1, False), (2, True)), "matroska", {"sound"}),
        (matroska((1, False), (2, False)), "matroska", set()),
        (MOVIE, "avi", set()),
        (b"", "mp4", set()),
        (b"", "matroska", set()),
    ],
)
def test_protected_tracks_are_found_in_the_header(tmp_path: Path, data: bytes, kind: str, found: set[str]) -> None:
    (tmp_path / "a").write_bytes(data)
    assert encrypted_streams(tmp_path / "a", kind) == found


def test_damaged_headers_are_read_within_bounds(tmp_path: Path) -> None:
    path, chance = tmp_path / "a", random.Random(0)  # noqa: S311 - no secret
    heads = {"mp4": MOVIE, "matroska": matroska((1, True), (2, True))}
    for _ in range(60):
        for kind, head in heads.items():
            data = bytearray(head)
            for _ in range(chance.randrange(1, 20)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            path.write_bytes(data)
            assert encrypted_streams(path, kind) <= {"picture", "sound"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x00\x00\x00\x08moov" * 200_000, "mp4"),
        (b"\x00\x00\x00\x08free" * 200_000, "mp4"),
        (b"\x00\x00\x00\x01moov" + b"\xff" * 8 + MOVIE, "mp4"),
        (b"\xec\x80" * 500_000, "matroska"),
        (b"\xec\x01" + b"\xff" * 7 + b"\xec\x80", "matroska"),
        (element(0x18538067, element(0x1654AE6B, b"\xae\x80" * 500_000)), "matroska"),
    ],
)
def test_files_that_are_made_to_be_long_to_read_are_not(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "a").write_bytes(data)
    since = time.process_time()
    encrypted_streams(tmp_path / "a", kind)
    assert time.process_time() - since < 0.5


def test_packets_of_a_stream_are_scrambled_when_most_of_them_are(tmp_path: Path) -> None:
    def packet(pid: int, flags: int) -> bytes:
        return bytes([0x47, pid >> 8, pid & 0xFF, flags]) + b"\xff" * 184

    plain, scrambled, no_payload = 0x10, 0x90, 0xA0
    packets = [packet(0x100, scrambled), packet(0x101, plain), packet(0x102, no_payload)] * 4 + [packet(0x100, plain)]
    (tmp_path / "a.ts").write_bytes(b"".join(packets))
    assert scrambled_pids(tmp_path / "a.ts") == {0x100}
    (tmp_path / "b.ts").write_bytes(b"no transport stream")
    assert scrambled_pids(tmp_path / "b.ts") == frozenset()
