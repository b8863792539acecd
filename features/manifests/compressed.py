"""Lines of a text file that may be compressed, under limits: a broken or hostile file costs bounded memory."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from features.base.errors import SourceError
from features.formats.records import RowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from typing_extensions import Buffer

# A longer line means a broken file: the longest field that is read is the text.
MAX_LINE_BYTES = 1 << 20
# With one line longer than this, a file is no list of lines at all.
HOPELESS_LINE_BYTES = 64 << 20
# Manifests compress 5 to 20 times; gzip reaches 1,032 on zeros, zstd 32,768.
MAX_RATIO = 200
# The ratio of a small file is meaningless.
FREE_BYTES = 64 << 20
PIECE_BYTES = 1 << 18
# A block of zstd takes 4 bytes at least and gives 128 KiB at most: one piece gives 32 MiB at most.
ZSTD_PIECE_BYTES = 1 << 10

# First bytes of files that are no text, and the way out.
_NOT_TEXT = {
    b"\xff\xfe": "is UTF-16 text: convert it to UTF-8, such as by iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "is UTF-16 text: convert it to UTF-8, such as by iconv -f UTF-16 -t UTF-8",
    b"\x1f\x8b": "is gzip data: let its name end in .gz, once for every time it was compressed",
    b"\x28\xb5\x2f\xfd": "is zstd data: let its name end in .zst, once for every time it was compressed",
    b"PK\x03\x04": "is a zip archive: unpack it",
    b"Rar!": "is a rar archive: unpack it",
    b"7z\xbc\xaf": "is a 7z archive: unpack it",
    b"\xfd7zX": "is xz data: unpack it, or compress it as .gz or .zst",
    b"BZh": "is bzip2 data: unpack it, or compress it as .gz or .zst",
}


@contextmanager
def open_text(path: Path, compression: str, max_bytes: int) -> Iterator[io.BufferedReader]:
    """Yield the bytes of a text file, decompressed while they are read.

    Reading raises ``SourceError`` where the compressed data are damaged or cut off, or where they grow
    beyond ``max_bytes`` or ``MAX_RATIO`` times the file's size.

    Args:
        path: The file.
        compression: ``""``, ``gz`` or ``zst``.
        max_bytes: Bytes that may come out.

    Raises:
        OSError: The file cannot be opened.
        SourceError: It starts like something that is no UTF-8 text.
    """
    with path.open("rb") as file:
        pieces = _guarded(path, _PIECES[compression](file), max_bytes)
        stream: io.BufferedReader = io.BufferedReader(_Raw(pieces), PIECE_BYTES)
        head = stream.peek(4)
        for magic, problem in _NOT_TEXT.items():
            if head.startswith(magic):
                raise SourceError(f"cannot read the manifest {path}: it {problem}")
        yield stream


class Lines:
    """Lines of a stream in order, line ends included; iteration continues after the :class:`RowError` of a long line.

    Attributes:
        number: Number of the line given last, from 1.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.number = 0
        self._stream = stream

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> bytes:
        """Return the next line.

        Raises:
            RowError: ``line_too_long``; the line is passed over, and was never in memory as a whole.
            SourceError: The line has no end: the file is no list of lines.
        """
        line = self._stream.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE_BYTES:
            length = self._pass_over(line)
            raise RowError("line_too_long", f"{length:,} bytes; a line holds at most {MAX_LINE_BYTES:,}")
        return line

    def _pass_over(self, line: bytes) -> int:
        length = len(line)
        while line and not line.endswith(b"\n"):
            line = self._stream.readline(MAX_LINE_BYTES)
            length += len(line)
            if length > HOPELESS_LINE_BYTES:
                raise SourceError(
                    f"line {self.number} of the manifest is longer than {HOPELESS_LINE_BYTES:,} bytes:"
                    " this is no file of one clip a line; set [corpus] manifest"
                )
        return length


class _Raw(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        target = memoryview(buffer)
        number = min(len(target), len(self._left))
        target[:number] = self._left[:number]
        self._left = self._left[number:]
        return number


def _plain_pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece


def _gzip_pieces(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def _zstd_pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of every frame; raise for a cut frame, which ``stream_reader`` would not report."""
    decompressor = zstandard.ZstdDecompressor()
    frame = None
    while piece := file.read(ZSTD_PIECE_BYTES):
        while piece:
            frame = frame or decompressor.decompressobj()
            if content := frame.decompress(piece):
                yield content
            piece = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the file ends inside a frame")


_PIECES = {"": _plain_pieces, "gz": _gzip_pieces, "zst": _zstd_pieces}


def _guarded(path: Path, pieces: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    size_bytes = path.stat().st_size
    num_bytes = 0
    try:
        for piece in pieces:
            num_bytes += len(piece)
            if num_bytes > max_bytes:
                raise SourceError(f"the manifest {path} holds more than max_manifest_bytes = {max_bytes:,}: raise it")
            if num_bytes > FREE_BYTES and num_bytes > MAX_RATIO * size_bytes:
                raise SourceError(
                    f"the manifest {path} unpacks to more than {MAX_RATIO} times its {size_bytes:,} bytes:"
                    " that is no list of clips; unpack it yourself if it is one"
                )
            yield piece
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise SourceError(
            f"the manifest {path} is damaged or cut off after {num_bytes:,} bytes of text ({error}): fetch it again"
        ) from error
