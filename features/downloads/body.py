"""The body of an answer on its way into a file: length, speed, packing, and going on where the last one broke off."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

from features.base.errors import ClipError, TransientError
from features.downloads.media_spec import Inspector
from features.downloads.store_index import PartialFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from features.downloads.media_spec import StoredFacts, Wanted
    from features.downloads.store import Partial
    from features.http.client import Answer
    from features.http.config import HttpConfig

HTTP_OK = 200
HTTP_PARTIAL = 206
HTTP_BAD_RANGE = 416
READ_BYTES = 1 << 20
# zlib's way to say: a gzip or a zlib header, whichever is there.
_ANY_HEADER = zlib.MAX_WBITS | 32


def range_headers(partial: Partial, wanted: Wanted) -> dict[str, str]:
    """Return the headers that ask for the rest of a body, none when it has to come from its start.

    ``If-Range`` carries the strong entity tag, else the date, so that a file that changed comes whole (RFC 9110
    13.1.5). Without either, the rest is asked for only if a checksum will prove the result.
    """
    facts = partial.facts
    if facts is None or partial.size in {0, facts.total}:
        return {}
    validator = facts.etag or facts.last_modified
    if not validator and not wanted.checksum:
        return {}
    headers = {"Range": f"bytes={partial.size}-"}
    return {**headers, "If-Range": validator} if validator else headers


def receive(
    answer: Answer, partial: Partial, wanted: Wanted, config: HttpConfig, on_bytes: Callable[[int], None]
) -> StoredFacts:
    """Write a body into ``partial`` and return what the whole file is.

    Raises:
        ClipError: What :class:`features.downloads.media_spec.Inspector` refuses, or ``encoding_not_allowed``.
        TransientError: ``incomplete_body``, ``too_slow`` or ``timeout``; what arrived is kept where it can be resumed.
    """
    inspector = Inspector(wanted)
    encoding = _encoding(answer)
    total: int | None
    if answer.status == HTTP_PARTIAL:
        total = _check_range(answer, partial)
        _read_again(partial, inspector)
    else:
        total = answer.length
        wanted.check_size(total or 0)
        partial.begin(None if encoding else _facts(answer, wanted))
    num_raw = inspector.num_bytes
    pace = _Pace(config, num_raw)
    unpacker = _Unpacker(encoding)
    for chunk in answer.chunks():
        num_raw += len(chunk)
        on_bytes(len(chunk))
        for data in unpacker.pieces(chunk):
            inspector.update(data)
            partial.write(data)
        pace.check(num_raw)
    if total is not None and num_raw != total:
        raise TransientError("incomplete_body", f"{num_raw:,} of {total:,} bytes came")
    if not unpacker.complete:
        raise TransientError("incomplete_body", "the packed body ends too early")
    return inspector.facts()


def finished_before(partial: Partial, wanted: Wanted) -> StoredFacts | None:
    """Return what the file is when its last byte came just before the process was killed, else ``None``."""
    if partial.facts is None or partial.size != partial.facts.total:
        return None
    inspector = Inspector(wanted)
    _read_again(partial, inspector)
    return inspector.facts()


def _encoding(answer: Answer) -> str:
    """Return how the body is packed, ``""`` when it is not."""
    encoding = answer.header("Content-Encoding").lower()
    return "" if encoding == "identity" else encoding


def _facts(answer: Answer, wanted: Wanted) -> PartialFacts | None:
    etag, date = answer.strong_etag, answer.header("Last-Modified")
    total = answer.length
    if total is None or not any((etag, date, wanted.checksum)):
        return None
    return PartialFacts(total, etag, date)


def _check_range(answer: Answer, partial: Partial) -> int:
    """Return the size of the whole body, if the part that comes is the part that was asked for."""
    facts, size = partial.facts, partial.size
    if facts is None:
        raise ClipError("http_206", "the server sent a part that was not asked for")
    first, last, total = answer.content_range or (-1, -1, -1)
    other_place = first != size or not size <= last < facts.total or total not in {None, facts.total}
    other_tag = facts.etag and answer.strong_etag not in {"", facts.etag}
    other_date = facts.last_modified and answer.header("Last-Modified") not in {"", facts.last_modified}
    # Bytes of a packed body are no bytes of the file.
    if other_place or other_tag or other_date or _encoding(answer):
        partial.discard()
        raise TransientError("incomplete_body", "the part that came does not fit the one that is there")
    return facts.total


def _read_again(partial: Partial, inspector: Inspector) -> None:
    partial.stream.seek(0)
    while data := partial.stream.read(READ_BYTES):
        inspector.update(data)


class _Pace:
    """Gives up on a body that comes too slowly."""

    def __init__(self, config: HttpConfig, num_bytes: int) -> None:
        self._config = config
        self._since = time.monotonic()
        self._bytes_then = num_bytes

    def check(self, num_bytes: int) -> None:
        """Look at the speed once a window.

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


class _Unpacker:
    """Unpacks a body piece by piece, each of at most a megabyte, so that a bomb meets ``max_bytes`` early.

    Packing was not asked for; a server that does it all the same is understood when it is gzip or deflate.
    """

    def __init__(self, encoding: str) -> None:
        self._zlib = zlib.decompressobj(_ANY_HEADER) if encoding else None
        if encoding not in {"", "gzip", "x-gzip", "deflate"}:
            raise ClipError("encoding_not_allowed", f"the body is packed as {encoding[:40]}, which was not asked for")

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the next bytes of the body hold."""
        if self._zlib is None:
            yield chunk
            return
        while chunk:
            try:
                yield self._zlib.decompress(chunk, READ_BYTES)
            except zlib.error as error:
                raise TransientError("incomplete_body", f"the body cannot be unpacked: {error}") from error
            chunk = self._zlib.unconsumed_tail

    @property
    def complete(self) -> bool:
        """Whether the packed body has come to its end."""
        return self._zlib is None or self._zlib.eof
