"""HTTP requests over reused connections that go to checked addresses only, and their responses."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import http.client
import math
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from features.base.errors import ClipError, TransientError, one_line
from features.http.guard import GuardedTlsSocket, connect, guarded, resolve_host

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterator, Mapping

    from features.http.config import HttpConfig
    from features.http.guard import Guard

CHUNK_BYTES = 1 << 16
# The unused body of an error or a redirect is read when it is this short, so that the connection can be reused.
DRAIN_BYTES = 1 << 14
HTTP_OK = 200
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
# Hosts whose connections are kept open.
KEPT_HOSTS = 64
# Informational answers that are read past before the answer itself; a server sends one or two.
MAX_INFORMATIONAL = 64
SWITCHING_PROTOCOLS = 101


class Response:
    """The response to one request: status, headers, and a body in chunks; open until :meth:`close`.

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
        stated = self.header("Content-Length")
        return int(stated) if _DIGITS.fullmatch(stated) and not self.header("Transfer-Encoding") else None

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
                chunk = self._response.raw.read1(CHUNK_BYTES, decode_content=False)
            except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
                raise TransientError("timeout", "the body stopped coming") from error
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                raise TransientError("incomplete_body", f"the body broke off: {type(error).__name__}") from error
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        """Return the connection to the pool, or close it when the body was not read to its end."""
        if self.length is not None and self.length <= DRAIN_BYTES and self.status != requests.codes.ok:
            try:
                for _ in self.chunks():
                    pass
            except TransientError:
                pass
        self._response.close()


class HttpClient:
    """A thread-safe HTTP client. It uses no proxy, cookie or password of the environment.

    Args:
        config: The limits.
    """

    def __init__(self, config: HttpConfig) -> None:
        self._config = config
        self._session = _OneRequestSession()
        self._session.trust_env = False
        self._session.cookies = _NoCookies()
        self._session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": config.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        )
        adapter = _CheckedAdapter(config)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], guard: Guard) -> Iterator[Response]:
        """Yield the response to one request; redirects are not followed.

        Raises:
            ClipError: ``bad_url``, ``address_not_allowed`` or ``certificate_refused``.
            TransientError: ``timeout`` or ``connection_failed``.
        """
        with guarded(guard):
            response = self._send(url, headers)
            guard.headers_are_here()
            received = Response(response)
            try:
                yield received
            finally:
                received.close()

    def _send(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        timeout = self._config.timeout_seconds
        try:
            return self._session.get(url, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise TransientError("timeout", f"no answer within {timeout:g} s") from error
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error) or "hostname" in str(error).lower():
                raise ClipError("certificate_refused", "the server's certificate is not valid for it") from error
            raise TransientError("connection_failed", "the TLS handshake failed") from error
        except requests.ConnectionError as error:
            raise TransientError("connection_failed", _reason(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise ClipError("bad_url", f"{type(error).__name__}: {error}") from error


def _reason(error: requests.ConnectionError) -> str:
    """Return the cause of a failed connection, without addresses of objects."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    if isinstance(cause, NameResolutionError):
        return "the host name has no address"
    if isinstance(cause, urllib3.exceptions.ProtocolError):
        return one_line(" ".join(str(part) for part in cause.args))
    return type(cause).__name__


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS settings, read once: requests reads the authorities for each connection, 20 ms of CPU."""
    context = create_urllib3_context()
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = GuardedTlsSocket
    return context


class _FinalResponse(http.client.HTTPResponse):
    """A response that is read past every informational answer (RFC 9110 15.2): http.client takes only 100 for one.

    The limit on the time of the headers is for all of them together.
    """

    def _read_status(self) -> tuple[str, int, str]:
        """Return version, status and reason of the answer itself.

        Raises:
            http.client.HTTPException: More than ``MAX_INFORMATIONAL`` informational answers, or no HTTP.
        """
        for _ in range(MAX_INFORMATIONAL + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # not in the type hints
            if status >= HTTP_OK or status == SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {MAX_INFORMATIONAL} informational answers")


class _NoCookies(RequestsCookieJar):
    """Cookie policy that rejects all cookies."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Store no cookie."""


class _OneRequestSession(requests.Session):
    """A session that sends one request and does not read the body of its response."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Generator[requests.Response, None, None]:  # noqa: ANN401 - as the original
        """Yield nothing: the original reads and decodes the whole body of a redirect even where it is not followed."""
        yield from ()


class _CheckedAdapter(HTTPAdapter):
    """An adapter whose connections resolve a name, check its addresses, and connect to one of those only."""

    def __init__(self, config: HttpConfig) -> None:
        self._allow_private = config.allow_private_addresses
        super().__init__(KEPT_HOSTS, config.connections_per_host)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: object) -> None:
        """Create the pools with the checked connections of this module."""
        super().init_poolmanager(connections, maxsize, block, **more)
        plain, tls = _connection_classes(allow_private=self._allow_private)

        class Plain(HTTPConnectionPool):
            ConnectionCls = plain

        class Tls(HTTPSConnectionPool):
            ConnectionCls = tls

        self.poolmanager.pool_classes_by_scheme = {"http": Plain, "https": Tls}

    def cert_verify(self, conn: HTTPSConnection, url: str, verify: object, cert: object) -> None:  # noqa: ARG002 - the signature is given
        """Require verification, by the shared TLS context, which has the authorities loaded."""
        conn.cert_reqs = "CERT_REQUIRED"


def _connection_classes(*, allow_private: bool) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Return connection classes; TLS still verifies the certificate against the host's name."""

    def open_socket(connection: HTTPConnection) -> socket.socket:
        host, timeout = connection._dns_host, float(connection.timeout or 0)  # noqa: SLF001 - with the trailing dot
        try:
            found = resolve_host(host.strip("[]"), connection.port, allow_private=allow_private)
            return connect(found, connection.port, timeout)
        except socket.gaierror as error:
            raise NameResolutionError(host, connection, error) from error
        except UnicodeError as error:
            raise ClipError("bad_url", f"{host[:80]} cannot be the name of a host") from error
        except TimeoutError as error:
            raise ConnectTimeoutError(connection, f"no connection within {timeout:g} s") from error
        except OSError as error:
            raise NewConnectionError(connection, f"no connection: {error}") from error

    class Plain(HTTPConnection):
        response_class = _FinalResponse

        def _new_conn(self) -> socket.socket:
            return open_socket(self)

    class Tls(HTTPSConnection):
        response_class = _FinalResponse

        def __init__(self, host: str, port: int | None = None, **more: Any) -> None:  # noqa: ANN401 - of any type
            super().__init__(host, port, **{**more, "ssl_context": tls_context()})

        def _new_conn(self) -> socket.socket:
            return open_socket(self)

    return Plain, Tls
