"""HTTP requests over reused connections that go to checked addresses only, and their responses."""

from __future__ import annotations

import datetime as dt
import email.utils
import http.client
import math
import re
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3

from features.base.errors import ClipError, TransientError, one_line
from features.http.connections import HTTP_OK, ConnectionPool
from features.http.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3.connection import HTTPConnection

    from features.http.config import HttpConfig
    from features.http.connections import Answer, Origin
    from features.http.guard import Guard

CHUNK_BYTES = 1 << 16
# The unused body of an error or a redirect is read when it is this short, so that the connection can be reused.
DRAIN_BYTES = 1 << 14
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
DEFAULT_PORTS = {"http": 80, "https": 443}
# URLs without anything to quote, to encode or to resolve, as most are.
_PLAIN_URL = re.compile(r"(https?)://([a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?((?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)")


class Response:
    """The response to one request: status, headers, and a body in chunks; open until :meth:`finish`.

    Args:
        answer: Headers received, body not.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.status = answer.status

    def header(self, name: str) -> str:
        """Return the value of a header, those of several joined by commas, ``""`` when it is not there."""
        return self._answer.fields.get(name.lower())

    @property
    def redirect_target(self) -> str:
        """The target of a redirect, ``""`` for any other response."""
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
        """Size of the body in bytes as the server states it, ``None`` without a usable header."""
        return self._answer.stated_length

    @property
    def content_range(self) -> tuple[int, int, int | None] | None:
        """First byte, last byte and size of the whole (``None`` = unknown); ``None`` without such a header."""
        match = _CONTENT_RANGE.fullmatch(self.header("Content-Range"))
        if match is None:
            return None
        first, last, total = match.groups()
        return int(first), int(last), None if total == "*" else int(total)

    @property
    def strong_etag(self) -> str:
        """The entity tag, ``""`` without one or with a weak one, which does not guarantee equal bytes."""
        tag = self.header("ETag")
        return tag if tag.startswith('"') and tag.endswith('"') else ""

    def retry_after_seconds(self) -> float:
        """Return the pause of ``Retry-After`` (RFC 9110 10.2.3), 0 without a valid one."""
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
        """Yield the body as it arrives, without decoding its ``Content-Encoding``.

        Raises:
            TransientError: ``timeout`` or ``incomplete_body``.
        """
        while True:
            try:
                # read1 returns what has arrived: waiting for a full chunk of a trickling server could take hours.
                chunk = self._answer.read1(CHUNK_BYTES)
            except TimeoutError as error:
                raise TransientError("timeout", "the body stopped coming") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise TransientError("incomplete_body", f"the body broke off: {type(error).__name__}") from error
            if not chunk:
                return
            yield chunk

    def finish(self) -> bool:
        """End the response, and return whether its connection can have another request."""
        if self.length is not None and self.length <= DRAIN_BYTES and self.status != HTTP_OK:
            try:
                for _ in self.chunks():
                    pass
            except TransientError:
                pass
        is_whole = self._answer.is_whole
        self._answer.close()
        return is_whole


class HttpClient:
    """A thread-safe HTTP client. It uses no proxy, cookie or password of the environment.

    ``requests`` reads URLs and names the authorities; the requests themselves go over urllib3's connections, since its
    sessions and pools take longer than a small file on a near server.

    Args:
        config: The limits.
    """

    def __init__(self, config: HttpConfig) -> None:
        self._pool = ConnectionPool(config)
        self._timeout_seconds = config.timeout_seconds
        self._headers = {"User-Agent": config.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], guard: Guard) -> Iterator[Response]:
        """Yield the response to one request; redirects are not followed.

        Raises:
            ClipError: ``bad_url``, ``address_not_allowed`` or ``certificate_refused``.
            TransientError: ``timeout`` or ``connection_failed``.
        """
        origin, target = _parts(url)
        with guarded(guard):
            connection = self._pool.take(origin)
            is_reusable = False
            try:
                response = Response(self._send(connection, target, {**self._headers, **headers}))
                guard.headers_are_here()
                try:
                    yield response
                finally:
                    is_reusable = response.finish()
            finally:
                if is_reusable:
                    self._pool.keep(origin, connection)
                else:
                    connection.close()

    def _send(self, connection: HTTPConnection, target: str, headers: Mapping[str, str]) -> Answer:
        try:
            connection.putrequest("GET", target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            # Not urllib3's own: it would wrap the answer, copy its headers and read its body by other rules.
            return http.client.HTTPConnection.getresponse(connection)  # type: ignore[return-value]  # response_class
        except TimeoutError as error:
            raise TransientError("timeout", f"no answer within {self._timeout_seconds:g} s") from error
        except (ssl.SSLError, urllib3.exceptions.SSLError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error) or "hostname" in str(error).lower():
                raise ClipError("certificate_refused", "the server's certificate is not valid for it") from error
            raise TransientError("connection_failed", "the TLS handshake failed") from error
        except (http.client.InvalidURL, ValueError) as error:
            raise ClipError("bad_url", f"{type(error).__name__}: {error}") from error
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            raise TransientError("connection_failed", one_line(f"{type(error).__name__}: {error}")) from error


def _parts(url: str) -> tuple[Origin, str]:
    """Return scheme, host and port of a URL, and its path with the query, both as they are sent.

    Raises:
        ClipError: ``bad_url``.
    """
    plain = _PLAIN_URL.fullmatch(url)
    if plain is not None:
        scheme, host, stated, path = plain.groups()
        return (scheme, host, int(stated or DEFAULT_PORTS[scheme])), path
    request = requests.PreparedRequest()
    try:
        request.prepare_url(url, None)
        parts = urlsplit(request.url or "")
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
        raise ClipError("bad_url", f"{type(error).__name__}: {error}") from error
    return (parts.scheme, host, port), f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
