"""Receives the body of a response into a file: length, speed, content encoding, and resumed downloads."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

from features.base.errors import ClipError, TransientError
from features.downloads.media_spec import READ_BYTES, PartialFacts, StreamingValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from features.downloads.media_spec import MediaSpec, StoredFacts
    from features.downloads.store import Partial
    from features.http.client import Response
    from features.http.config import HttpConfig

HTTP_OK = 200
HTTP_PARTIAL = 206
HTTP_BAD_RANGE = 416
# Makes zlib accept a gzip or a zlib header.
_ANY_HEADER = zlib.MAX_WBITS | 32


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
    encoding = _encoding(response)
    total: int | None
    if response.status == HTTP_PARTIAL:
        total = _check_range(response, partial)
        _read_again(partial, validator)
    else:
        total = response.length
        spec.check_size(total or 0)
        partial.begin(None if encoding else _facts(response, spec))
    num_raw = validator.num_bytes
    speed_limit = _SpeedLimit(config, num_raw)
    decoder = _BodyDecoder(encoding)
    for chunk in response.chunks():
        num_raw += len(chunk)
        on_bytes(len(chunk))
        for data in decoder.pieces(chunk):
            validator.update(data)
            partial.write(data)
        speed_limit.check(num_raw)
    if total is not None and num_raw != total:
        raise TransientError("incomplete_body", f"{num_raw:,} of {total:,} bytes arrived")
    if not decoder.complete:
        raise TransientError("incomplete_body", "the encoded body ends too early")
    return validator.finish()


def complete_facts(partial: Partial, spec: MediaSpec) -> StoredFacts | None:
    """Return the facts of a partial file that is complete, as after a kill just behind the last byte; else ``None``."""
    if partial.facts is None or partial.size != partial.facts.total:
        return None
    validator = StreamingValidator(spec)
    _read_again(partial, validator)
    return validator.finish()


def _encoding(response: Response) -> str:
    """Return the content encoding of the body, ``""`` for none."""
    encoding = response.header("Content-Encoding").lower()
    return "" if encoding == "identity" else encoding


def _facts(response: Response, spec: MediaSpec) -> PartialFacts | None:
    etag, date = response.strong_etag, response.header("Last-Modified")
    total = response.length
    if total is None or not any((etag, date, spec.checksum)):
        return None
    return PartialFacts(total, etag, date)


def _check_range(response: Response, partial: Partial) -> int:
    """Return the size of the whole body, after checking that the range received is the range requested."""
    facts, size = partial.facts, partial.size
    if facts is None:
        raise ClipError("http_206", "the server sent a range that was not requested")
    first, last, total = response.content_range or (-1, -1, -1)
    other_place = first != size or not size <= last < facts.total or total not in {None, facts.total}
    other_tag = facts.etag and response.strong_etag not in {"", facts.etag}
    other_date = facts.last_modified and response.header("Last-Modified") not in {"", facts.last_modified}
    # A range of an encoded body is no range of the file.
    if other_place or other_tag or other_date or _encoding(response):
        partial.discard()
        raise TransientError("incomplete_body", "the range received does not continue the bytes on disk")
    return facts.total


def _read_again(partial: Partial, validator: StreamingValidator) -> None:
    partial.stream.seek(0)
    while data := partial.stream.read(READ_BYTES):
        validator.update(data)


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
    """

    def __init__(self, encoding: str) -> None:
        self._zlib = zlib.decompressobj(_ANY_HEADER) if encoding else None
        if encoding not in {"", "gzip", "x-gzip", "deflate"}:
            raise ClipError("encoding_not_allowed", f"the body is encoded as {encoding[:40]}, which was not requested")

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decoded content of the next bytes of the body."""
        if self._zlib is None:
            yield chunk
            return
        while chunk:
            try:
                yield self._zlib.decompress(chunk, READ_BYTES)
            except zlib.error as error:
                raise TransientError("incomplete_body", f"the body cannot be decoded: {error}") from error
            chunk = self._zlib.unconsumed_tail

    @property
    def complete(self) -> bool:
        """Whether the encoded body has reached its end."""
        return self._zlib is None or self._zlib.eof
