"""What a server answered to one request: status, headers, and a body in pieces."""

from __future__ import annotations

import datetime as dt
import email.utils
import math
import re
from typing import TYPE_CHECKING

import requests
import urllib3

from features.base.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 1 << 16
# The body of an answer that is of no use is read when it is this short, so that the connection can be kept.
DRAIN_BYTES = 1 << 14
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)


class Answer:
    """One answer, open until it is closed.

    Args:
        response: Headers received, body not.
    """

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code

    def header(self, name: str) -> str:
        """Return the value of a header, ``""`` when it is not there."""
        return self._response.headers.get(name, "").strip()

    @property
    def redirect_target(self) -> str:
        """Where a redirect leads, ``""`` when the answer is none."""
        if self.status not in REDIRECTS:
            return ""
        target = self.header("Location")
        try:
            # Header bytes are read as Latin-1; a Location of today is UTF-8.
            return target.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return target

    @property
    def length(self) -> int | None:
        """Bytes that the server says the body has, ``None`` when it does not say."""
        stated = self.header("Content-Length")
        return int(stated) if _DIGITS.fullmatch(stated) and not self.header("Transfer-Encoding") else None

    @property
    def content_range(self) -> tuple[int, int, int | None] | None:
        """First byte, last byte and size of the whole (``None`` = not said); ``None`` when there is no such header."""
        match = _CONTENT_RANGE.fullmatch(self.header("Content-Range"))
        if match is None:
            return None
        first, last, total = match.groups()
        return int(first), int(last), None if total == "*" else int(total)

    @property
    def strong_etag(self) -> str:
        """The entity tag, ``""`` when there is none or a weak one, which does not promise equal bytes."""
        tag = self.header("ETag")
        return tag if tag.startswith('"') and tag.endswith('"') else ""

    def retry_after_seconds(self) -> float:
        """Return the pause that the server asks for (RFC 9110 10.2.3), 0 when it asks for none that makes sense."""
        stated = self.header("Retry-After")
        if _DIGITS.fullmatch(stated):
            return float(stated)
        try:
            when = email.utils.parsedate_to_datetime(stated)
        except (TypeError, ValueError):
            return 0.0
        when = when if when.tzinfo else when.replace(tzinfo=dt.timezone.utc)
        pause = (when - dt.datetime.now(dt.timezone.utc)).total_seconds()
        return max(pause, 0.0) if math.isfinite(pause) else 0.0

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives, still packed if it was packed.

        Raises:
            TransientError: ``timeout`` or ``incomplete_body``.
        """
        while True:
            try:
                # What is there, as soon as it is there: a full chunk of a server that trickles could take hours.
                chunk = self._response.raw.read1(CHUNK_BYTES, decode_content=False)
            except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
                raise TransientError("timeout", "the body stopped coming") from error
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                raise TransientError("incomplete_body", f"the body broke off: {type(error).__name__}") from error
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        """Give the connection back for the next request, or close it when the body was not read to its end."""
        if self.length is not None and self.length <= DRAIN_BYTES and self.status != requests.codes.ok:
            try:
                for _ in self.chunks():
                    pass
            except TransientError:
                pass
        self._response.close()
