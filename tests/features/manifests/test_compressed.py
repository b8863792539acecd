from __future__ import annotations

import gzip
import multiprocessing
from typing import TYPE_CHECKING

import pytest
import zstandard

from features.base.errors import SourceError
from features.formats.records import RowError
from features.manifests import compressed
from features.manifests.compressed import MAX_LINE_BYTES, Lines, open_text
from tests.memory import peak_megabytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

TEXT = b"".join(b'{"id": %d, "text": "%x"}\n' % (number, number**7) for number in range(20_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstandard.compress}


def unpack(path: Path, compression: str, max_bytes: int = 1 << 40) -> bytes:
    with open_text(path, compression, max_bytes) as stream:
        return stream.read()


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_what_was_packed_comes_out(tmp_path: Path, compression: str) -> None:
    pack = PACKERS[compression]
    skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc" if compression == "zst" else b""
    (tmp_path / "m").write_bytes(pack(TEXT) + skippable + pack(b"") + pack(b"more\n"))
    assert unpack(tmp_path / "m", compression) == TEXT + b"more\n"


@pytest.mark.parametrize("compression", ["gz", "zst"])
@pytest.mark.parametrize("where", ["a little", "half", "most", "in the second"])
def test_a_file_cut_off_is_one_clear_error(tmp_path: Path, compression: str, where: str) -> None:
    whole = PACKERS[compression](TEXT)
    keep = {"a little": len(whole) - 1, "half": len(whole) // 2, "most": 12, "in the second": len(whole) + 20}[where]
    (tmp_path / "m").write_bytes((whole + whole)[:keep])
    with pytest.raises(SourceError, match=r"the manifest .* is damaged or cut off after [\d,]+ bytes of text"):
        unpack(tmp_path / "m", compression)


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_what_is_not_packed_or_flipped_is_one_clear_error(tmp_path: Path, compression: str) -> None:
    packed = bytearray(PACKERS[compression](TEXT) if compression == "gz" else zstd_with_checksum(TEXT))
    packed[len(packed) // 2] ^= 1
    for content in (TEXT, bytes(packed)):
        (tmp_path / "m").write_bytes(content)
        with pytest.raises(SourceError, match="is damaged or cut off"):
            unpack(tmp_path / "m", compression)


def zstd_with_checksum(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


@pytest.mark.parametrize("compression", ["", "gz", "zst"])
def test_more_text_than_allowed_is_not_read(tmp_path: Path, compression: str) -> None:
    (tmp_path / "m").write_bytes(PACKERS.get(compression, bytes)(TEXT))
    assert unpack(tmp_path / "m", compression, len(TEXT)) == TEXT
    with pytest.raises(SourceError, match=r"holds more than max_manifest_bytes = [\d,]+: raise it"):
        unpack(tmp_path / "m", compression, len(TEXT) - 1)


def bomb(path: Path, compression: str, byte: bytes, num_mib: int) -> None:
    piece = byte * (1 << 20)
    if compression == "gz":
        with gzip.open(path, "wb", compresslevel=1) as stream:
            for _ in range(num_mib):
                stream.write(piece)
        return
    with zstandard.open(path, "wb", zstandard.ZstdCompressor(level=1)) as stream:
        for _ in range(num_mib):
            stream.write(piece)


def explode(path: Path, compression: str, sender: Connection) -> None:
    before = peak_megabytes()
    message = ""
    try:
        with open_text(path, compression, 1 << 40) as stream:
            for _ in Lines(stream):
                pass
    except SourceError as error:
        message = str(error)
    sender.send((message, peak_megabytes() - before))


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_a_bomb_of_zeros_costs_little_memory(tmp_path: Path, compression: str) -> None:
    bomb(tmp_path / "m", compression, b"\0", 400)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=explode, args=(tmp_path / "m", compression, sender))
    process.start()
    message, grown_mib = receiver.recv()
    process.join()
    assert "unpacks to more than 200 times" in message or "is longer than 67,108,864 bytes" in message
    assert grown_mib < 150


def test_a_bomb_of_blank_lines_is_found_by_its_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "FREE_BYTES", 1 << 20)
    bomb(tmp_path / "m", "gz", b"\n", 4)
    with pytest.raises(SourceError, match=r"unpacks to more than 200 times its [\d,]+ bytes"):
        unpack(tmp_path / "m", "gz")


def test_a_line_without_end_is_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "HOPELESS_LINE_BYTES", 3 << 20)
    (tmp_path / "m").write_bytes(b"x\n" + b"y" * (4 << 20))
    with (
        open_text(tmp_path / "m", "", 1 << 40) as stream,
        pytest.raises(SourceError, match="line 2 of the manifest is longer than"),
    ):
        read_lines(Lines(stream))


def test_a_line_too_long_is_passed_over(tmp_path: Path) -> None:
    longest = b"l" * (MAX_LINE_BYTES - 1) + b"\n"
    (tmp_path / "m").write_bytes(b"a\n" + longest + b"x" + longest + b"x" * (3 * MAX_LINE_BYTES) + b"\nb\n\nc")
    with open_text(tmp_path / "m", "", 1 << 40) as stream:
        found = read_lines(Lines(stream))
    assert found == [
        (1, b"a\n"), (2, longest), (3, "line_too_long"), (4, "line_too_long"), (5, b"b\n"), (6, b"\n"), (7, b"c"),
    ]  # fmt: skip


def read_lines(lines: Lines) -> list[tuple[int, bytes | str]]:
    found: list[tuple[int, bytes | str]] = []
    while True:
        try:
            line = next(lines)
        except StopIteration:
            return found
        except RowError as error:
            found.append((lines.number, error.code))
        else:
            found.append((lines.number, line))


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (b"\xff\xfei\0d\0", "is UTF-16 text"),
        (gzip.compress(b"x", mtime=0), "is gzip data: let its name end in .gz"),
        (zstandard.compress(b"x"), "is zstd data: let its name end in .zst"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (b"Rar!\x1a\x07", "is a rar archive"),
    ],
    ids=["utf-16", "gzip", "zstd", "zip", "rar"],
)
def test_a_file_that_starts_like_something_else_is_named(tmp_path: Path, head: bytes, problem: str) -> None:
    (tmp_path / "m").write_bytes(head)
    with pytest.raises(SourceError, match=problem):
        unpack(tmp_path / "m", "")
    (tmp_path / "m").write_bytes(gzip.compress(head))
    with pytest.raises(SourceError, match=problem):
        unpack(tmp_path / "m", "gz")


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"")
    assert unpack(tmp_path / "m", "") == b""
