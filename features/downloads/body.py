"""Receives the body of a response into a file: length, speed, content encoding, and resumed downloads."""

from __future__ import annotations

import re
import time
import zlib
from typing import TYPE_CHECKING

from features.base.errors import ClipError, TransientError
from features.downloads.media_kinds import SNIFF_BYTES, kind_of
from features.downloads.media_spec import READ_BYTES, PartialFacts, StreamingValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from features.downloads.media_spec import MediaSpec, StoredFacts
    from features.downloads.store import Partial
    from features.http.client import Response
    from features.http.config import HttpConfig

HTTP_PARTIAL = 206
HTTP_BAD_RANGE = 416
# 203: a proxy has changed the answer of the server; what it made of the file is checked as any file is.
WHOLE_STATUSES = frozenset({200, 203})
# Makes zlib accept a gzip or a zlib header.
_ANY_HEADER = zlib.MAX_WBITS | 32
_GZIP_MAGIC = b"\x1f\x8b"
_ZLIB_METHOD = 8
_UNPACKED = frozenset({"gzip", "x-gzip", "deflate"})
# The codings of the IANA registry and their relatives that change the bytes. Any other word (``none``, ``utf-8``,
# ``binary``) names no coding, and the bytes themselves decide.
_PACKED = _UNPACKED | frozenset(
    {"br", "zstd", "compress", "x-compress", "dcb", "dcz", "sdch", "exi", "pack200-gzip", "aes128gcm",
     "bzip2", "x-bzip2", "bz2", "lzma", "x-lzma", "xz", "x-xz", "lz4", "snappy", "x-snappy-framed", "zip"}
)  # fmt: skip
AWS_CHUNKED = "aws-chunked"
# The frames of ``aws-chunked``: a size in hexadecimal digits, a signature or none, a line break.
_AWS_FRAME = re.compile(rb"[0-9a-fA-F]{1,16}(;[\x20-\x7e]{0,200})?\r\n")


def range_headers(partial: Partial, spec: MediaSpec) -> dict[str, str]:
    """Return the headers that request the rest of a body, none when it has to be fetched from its start.

    ``If-Range`` carries the strong entity tag, else the date, so that the server sends a changed file whole (RFC 9110
    13.1.5). Without either, the rest is requested only if a checksum will verify the result.
    """
    facts = partial.facts
    if facts is None or partial.size in {0, facts.total}:
        return {}
    validator = facts.etag or facts.last_modified
    if not validator and not spec.checksum:
        return {}
    headers = {"Range": f"bytes={partial.size}-"}
    return {**headers, "If-Range": validator} if validator else headers


def receive(
    response: Response, partial: Partial, spec: MediaSpec, config: HttpConfig, on_bytes: Callable[[int], None]
) -> StoredFacts:
    """Write a body into ``partial`` and return the facts of the whole file.

    Raises:
        ClipError: As :class:`features.downloads.media_spec.StreamingValidator` raises, or ``encoding_not_allowed``.
        TransientError: ``incomplete_body``, ``too_slow`` or ``timeout``; what arrived is kept where it can be resumed.
    """
    validator = StreamingValidator(spec)
    coding, words = _coding(response), _words(response)
    head = b""
    total: int | None
    if response.status == HTTP_PARTIAL and partial.facts is not None:
        total = _check_range(response, partial, partial.facts)
        head = _read_again(partial, validator)
    else:
        _check_whole(response)
        total = response.length
        spec.check_size(total or 0)
        partial.begin(None if coding else _facts(response, spec))
    num_raw = validator.num_bytes
    speed_limit = _SpeedLimit(config, num_raw)
    decoder = _BodyDecoder(coding)
    try:
        for chunk in response.chunks():
            num_raw += len(chunk)
            on_bytes(len(chunk))
            for data in decoder.pieces(chunk):
                if len(head) < SNIFF_BYTES:
                    head += data[: SNIFF_BYTES - len(head)]
                validator.update(data)
                partial.write(data)
            speed_limit.check(num_raw)
        if total is not None and num_raw != total:
            raise TransientError("incomplete_body", f"{num_raw:,} of {total:,} bytes arrived")
        if not decoder.complete:
            raise TransientError("incomplete_body", "the encoded body ends too early")
        facts = validator.finish()
    except ClipError as error:
        if error.code == spec.wrong_kind_code and words and not kind_of(head):
            partial.discard()
            raise _not_decoded(words) from error
        raise
    if AWS_CHUNKED in words and _AWS_FRAME.match(head):
        partial.discard()
        raise _not_decoded(words)
    return facts


def complete_facts(partial: Partial, spec: MediaSpec) -> StoredFacts | None:
    """Return the facts of a partial file that is complete, as after a kill just behind the last byte; else ``None``."""
    if partial.facts is None or partial.size != partial.facts.total:
        return None
    validator = StreamingValidator(spec)
    _read_again(partial, validator)
    return validator.finish()


def _words(response: Response) -> tuple[str, ...]:
    """Return what ``Content-Encoding`` lists, in lower case and without ``identity``."""
    stated = (word.strip().lower() for word in response.header("Content-Encoding").split(","))
    return tuple(word for word in stated if word not in {"", "identity"})


def _coding(response: Response) -> str:
    """Return the coding that changes the bytes of the body, several joined by commas, ``""`` for none."""
    return ", ".join(word for word in _words(response) if word in _PACKED)


def _not_decoded(words: Iterable[str]) -> ClipError:
    stated = ", ".join(words)[:40]
    return ClipError("encoding_not_allowed", f"the body is encoded as {stated}, which was not requested")


def _facts(response: Response, spec: MediaSpec) -> PartialFacts | None:
    etag, date = response.strong_etag, response.header("Last-Modified")
    total = response.length
    if total is None or not any((etag, date, spec.checksum)):
        return None
    return PartialFacts(total, etag, date)


def _check_whole(response: Response) -> None:
    """Check that an answer to a request without ``Range`` has the whole body, also as a range of all its bytes.

    Raises:
        ClipError: ``http_206``.
    """
    if response.status == HTTP_PARTIAL:
        first, last, total = response.content_range or (-1, -1, None)
        if first != 0 or total != last + 1 or response.length not in {None, total}:
            raise ClipError("http_206", "the server sent a range that was not requested")


def _check_range(response: Response, partial: Partial, facts: PartialFacts) -> int:
    """Return the size of the whole body, after checking that the range received is the range requested."""
    size = partial.size
    first, last, total = response.content_range or (-1, -1, -1)
    other_place = first != size or not size <= last < facts.total or total not in {None, facts.total}
    other_tag = facts.etag and response.strong_etag not in {"", facts.etag}
    other_date = facts.last_modified and response.header("Last-Modified") not in {"", facts.last_modified}
    # A range of an encoded body is no range of the file.
    if other_place or other_tag or other_date or _coding(response):
        partial.discard()
        raise TransientError("incomplete_body", "the range received does not continue the bytes on disk")
    return facts.total


def _read_again(partial: Partial, validator: StreamingValidator) -> bytes:
    """Let the validator see the bytes on disk, and return the first of them."""
    head = b""
    partial.stream.seek(0)
    while data := partial.stream.read(READ_BYTES):
        head = head or data[:SNIFF_BYTES]
        validator.update(data)
    return head


class _SpeedLimit:
    """Measures the speed of a body, and raises for one that is too slow."""

    def __init__(self, config: HttpConfig, num_bytes: int) -> None:
        self._config = config
        self._since = time.monotonic()
        self._bytes_then = num_bytes

    def check(self, num_bytes: int) -> None:
        """Check the speed once a window.

        Raises:
            TransientError: ``too_slow``.
        """
        passed = time.monotonic() - self._since
        if passed < self._config.speed_window_seconds:
            return
        speed = (num_bytes - self._bytes_then) / passed
        if speed < self._config.min_bytes_per_second:
            raise TransientError("too_slow", f"{speed:.0f} bytes a second; see min_bytes_per_second")
        self._since, self._bytes_then = time.monotonic(), num_bytes


class _BodyDecoder:
    """Decodes a body in pieces of at most a megabyte, so that a decompression bomb exceeds ``max_bytes`` early.

    No encoding was requested; gzip and deflate are accepted from servers that encode all the same.

    Args:
        coding: As :func:`_coding` returns it.

    Raises:
        ClipError: ``encoding_not_allowed``.
    """

    def __init__(self, coding: str) -> None:
        if coding and coding not in _UNPACKED:
            raise _not_decoded([coding])
        self._coding = coding
        self._zlib: zlib._Decompress | None = None
        self._first = b""
        self._is_over = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decoded content of the next bytes of the body."""
        if not self._coding:
            yield chunk
            return
        chunk, self._first = self._first + chunk, b""
        while chunk and not self._is_over:
            if self._zlib is None or self._zlib.eof:
                # Two bytes tell the formats apart.
                if len(chunk) < len(_GZIP_MAGIC):
                    self._first = chunk
                    return
                # gzip may be several members in a row (RFC 1952 2.2). zlib would keep all else that follows in memory.
                self._is_over = self._zlib is not None and not chunk.startswith(_GZIP_MAGIC)
                if self._is_over:
                    return
                self._zlib = zlib.decompressobj(_window_bits(chunk, self._coding))
            try:
                yield self._zlib.decompress(chunk, READ_BYTES)
            except zlib.error as error:
                raise TransientError("incomplete_body", f"the body cannot be decoded: {error}") from error
            chunk = self._zlib.unconsumed_tail or self._zlib.unused_data

    @property
    def complete(self) -> bool:
        """Whether the encoded body has reached its end."""
        return not self._coding or (self._zlib is not None and self._zlib.eof)


def _window_bits(head: bytes, coding: str) -> int:
    """Return what tells zlib the format of a body that begins with ``head``.

    ``deflate`` means the zlib format (RFC 9110 8.4.1.2), but some servers send the bare stream (RFC 1951). A zlib
    header is a method in 4 bits, and two bytes that are a multiple of 31 (RFC 1950 2.2).
    """
    is_zlib = head[0] & 0x0F == _ZLIB_METHOD and int.from_bytes(head[:2], "big") % 31 == 0
    if coding != "deflate" or is_zlib or head.startswith(_GZIP_MAGIC):
        return _ANY_HEADER
    return -zlib.MAX_WBITS
