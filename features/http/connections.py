"""Connections that go to checked addresses only, kept open between requests, and the answers that come over them."""

from __future__ import annotations

import functools
import http.client
import re
import socket
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from features.base.errors import ClipError, TransientError
from features.http.guard import GuardedTlsSocket, connect, resolve_host

if TYPE_CHECKING:
    import io
    import ssl
    from typing import TypeAlias

    from features.http.config import HttpConfig

    # Scheme, host and port.
    Origin: TypeAlias = tuple[str, str, int]

# Hosts whose connections are kept open.
KEPT_HOSTS = 64
# Informational answers that are read past before the answer itself; a server sends one or two.
MAX_INFORMATIONAL = 64
MAX_HEADERS = 100
MAX_LINE_BYTES = 1 << 16
HTTP_OK = 200
SWITCHING_PROTOCOLS = 101
# Answers that have no body, whatever their headers say.
_BODILESS = frozenset({SWITCHING_PROTOCOLS, 204, 304})
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)


class Headers:
    """The header fields of an answer.

    The standard library reads them as those of a mail, which takes longer than all the rest of a small answer.

    Args:
        stream: At the first field; read up to the empty line.

    Attributes:
        is_whole: Whether that line was there.

    Raises:
        http.client.HTTPException: Too many fields, or one that is too long.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._fields: dict[str, list[str]] = {}
        self.is_whole = True
        values: list[str] = []
        for _ in range(MAX_HEADERS + 1):
            line = stream.readline(MAX_LINE_BYTES + 1)
            if len(line) > MAX_LINE_BYTES:
                raise http.client.LineTooLong("header line")
            if line in {b"\r\n", b"\n", b""}:
                self.is_whole = bool(line)
                return
            # Header bytes are read as Latin-1, where every byte is a character.
            text = line.decode("latin-1")
            if text[0] in " \t":
                # A field that is continued on the next line (RFC 9112 5.2).
                if values:
                    values[-1] = f"{values[-1]} {text.strip()}"
                continue
            name, colon, value = text.partition(":")
            values = self._fields.setdefault(name.strip().lower(), []) if colon else []
            if colon:
                values.append(value.strip())
        raise http.client.HTTPException(f"more than {MAX_HEADERS} headers")

    def get(self, name: str) -> str:
        """Return the value of a field by its name in lower case, of several joined by commas, ``""`` without one."""
        return ", ".join(self._fields.get(name, ()))


def _length(fields: Headers) -> int | None:
    """Return what ``Content-Length`` states, also where it does so more than once (RFC 9112 6.3)."""
    stated = {value.strip() for value in fields.get("content-length").split(",")}
    length = stated.pop()
    return int(length) if not stated and _DIGITS.fullmatch(length) else None


class Answer(http.client.HTTPResponse):
    """An answer that is read past every informational one (RFC 9110 15.2): http.client takes only 100 for one.

    The limit on the time of the headers is for all of them together.
    """

    fields: Headers
    # Of the body in bytes, as the server states it; ``None`` without a usable header.
    stated_length: int | None

    def begin(self) -> None:
        """Read status and headers.

        Raises:
            http.client.HTTPException: No HTTP/1, or beyond the limits of this module.
        """
        for _ in range(MAX_INFORMATIONAL + 1):
            version, status, reason = self._read_status()  # type: ignore[attr-defined]  # not in the type hints
            fields = Headers(self.fp)
            if status >= HTTP_OK or status == SWITCHING_PROTOCOLS:
                break
        else:
            raise http.client.HTTPException(f"more than {MAX_INFORMATIONAL} informational answers")
        if not version.startswith("HTTP/1.") and version != "HTTP/0.9":
            raise http.client.UnknownProtocol(version)
        if status == HTTP_OK and not fields.is_whole:
            # A file without a byte, and final, if it counted as an answer.
            raise http.client.IncompleteRead(b"")
        self.fields, self.code, self.status, self.reason = fields, status, status, reason.strip()
        self.version = 10 if version in {"HTTP/1.0", "HTTP/0.9"} else 11
        self.headers = self.msg = http.client.HTTPMessage()
        self._frame(fields)

    def _frame(self, fields: Headers) -> None:
        """Decide where the body ends (RFC 9112 6.3), and whether the connection outlives it."""
        coding = fields.get("transfer-encoding").lower()
        if coding == "identity":
            # Of HTTP/1.1 before 2014; it says nothing.
            coding = ""
        self.chunked = coding == "chunked" and self.status not in _BODILESS
        self.chunk_left = None
        stated = _length(fields)
        # A length beside a coding counts for nothing, and one of the two is a mistake or an attack.
        self.stated_length = None if coding else stated
        self.length = 0 if self.status in _BODILESS else self.stated_length
        connection = fields.get("connection").lower()
        keeps = "close" not in connection if self.version == 11 else "keep-alive" in connection  # noqa: PLR2004
        is_framed = self.chunked if coding else self.length is not None
        is_unclear = self.status == SWITCHING_PROTOCOLS or bool(coding and stated is not None)
        self.will_close = not keeps or not is_framed or is_unclear

    @property
    def is_whole(self) -> bool:
        """Whether the body has been read to its end and the server keeps the connection open."""
        return not self.will_close and (self.isclosed() or self.length == 0)


class ConnectionPool:
    """Keeps connections open between requests; thread-safe.

    Args:
        config: The limits.
    """

    def __init__(self, config: HttpConfig) -> None:
        self._config = config
        self._classes = _connection_classes(allow_private=config.allow_private_addresses)
        self._lock = threading.Lock()
        # The host that was used last is the last one.
        self._idle: OrderedDict[Origin, list[HTTPConnection]] = OrderedDict()

    def take(self, origin: Origin) -> HTTPConnection:
        """Return a connection for one request, which may still have to be opened."""
        timeout = self._config.timeout_seconds
        while True:
            with self._lock:
                waiting = self._idle.get(origin)
                kept = waiting.pop() if waiting else None
            if kept is None:
                scheme, host, port = origin
                return self._classes[scheme](host, port, timeout=timeout)
            # Readable means closed by the server, or bytes that nobody requested.
            if kept.is_connected:
                kept.sock.settimeout(timeout)
                return kept
            kept.close()

    def keep(self, origin: Origin, connection: HTTPConnection) -> None:
        """Keep a connection whose last answer was read to its end."""
        with self._lock:
            waiting = self._idle.setdefault(origin, [])
            self._idle.move_to_end(origin)
            waiting.append(connection)
            surplus = waiting[: -self._config.connections_per_host]
            del waiting[: -self._config.connections_per_host]
            while len(self._idle) > KEPT_HOSTS:
                surplus += self._idle.popitem(last=False)[1]
        for other in surplus:
            other.close()

    def close(self) -> None:
        """Close every connection that is kept."""
        with self._lock:
            kept = [connection for waiting in self._idle.values() for connection in waiting]
            self._idle.clear()
        for connection in kept:
            connection.close()


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS settings, made once: reading the authorities takes 20 ms of CPU."""
    context = create_urllib3_context()
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = GuardedTlsSocket
    return context


def _connection_classes(*, allow_private: bool) -> dict[str, type[HTTPConnection]]:
    """Return connection classes by scheme; TLS still verifies the certificate against the host's name."""

    def open_socket(connection: HTTPConnection) -> socket.socket:
        host, timeout = connection._dns_host, float(connection.timeout or 0)  # noqa: SLF001 - with the trailing dot
        try:
            found = resolve_host(host.strip("[]"), connection.port, allow_private=allow_private)
            return connect(found, connection.port, timeout)
        except socket.gaierror as error:
            raise TransientError("connection_failed", "the host name has no address") from error
        except UnicodeError as error:
            raise ClipError("bad_url", f"{host[:80]} cannot be the name of a host") from error

    class Plain(HTTPConnection):
        response_class = Answer

        def _new_conn(self) -> socket.socket:
            return open_socket(self)

    class Tls(HTTPSConnection):
        response_class = Answer

        def __init__(self, host: str, port: int | None = None, **more: Any) -> None:  # noqa: ANN401 - of any type
            super().__init__(host, port, **{**more, "ssl_context": tls_context()})

        def _new_conn(self) -> socket.socket:
            return open_socket(self)

    return {"http": Plain, "https": Tls}
