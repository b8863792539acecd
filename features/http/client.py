"""One request of one URL, over connections that are kept open and go to checked addresses only."""

from __future__ import annotations

import functools
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

from features.base.errors import ClipError, TransientError
from features.http.addresses import resolve
from features.http.guard import GuardedTlsSocket, connect, guarded
from features.http.response import Answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterator, Mapping

    from features.http.config import HttpConfig
    from features.http.guard import Guard

# Hosts whose connections are kept open.
KEPT_HOSTS = 64


class HttpClient:
    """Asks web servers; safe from many threads. No proxy, no cookie and no password of the environment is used.

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
    def get(self, url: str, headers: Mapping[str, str], guard: Guard) -> Iterator[Answer]:
        """Yield what the server answers to one request; a redirect is an answer too.

        Raises:
            ClipError: ``bad_url``, ``address_not_allowed`` or ``certificate_refused``.
            TransientError: ``timeout`` or ``connection_failed``.
        """
        with guarded(guard):
            response = self._send(url, headers)
            guard.headers_are_here()
            answer = Answer(response)
            try:
                yield answer
            finally:
                answer.close()

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
    """Return what stands behind a failed connection, without addresses of objects."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    if isinstance(cause, NameResolutionError):
        return "the host name has no address"
    if isinstance(cause, urllib3.exceptions.ProtocolError):
        return " ".join(" ".join(str(part) for part in cause.args).split())
    return type(cause).__name__


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the settings of TLS, read once: requests reads the authorities again for each connection, 20 ms of CPU."""
    context = create_urllib3_context()
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = GuardedTlsSocket
    return context


class _NoCookies(RequestsCookieJar):
    """Keeps nothing: one stranger's cookie is no other's business."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Leave them."""


class _OneRequestSession(requests.Session):
    """Sends one request and leaves the body of its answer alone."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Generator[requests.Response, None, None]:  # noqa: ANN401 - as the original
        """Yield nothing: even where redirects are not followed, the original reads and unpacks their whole body."""
        yield from ()


class _CheckedAdapter(HTTPAdapter):
    """An adapter whose connections resolve a name, check its addresses and connect to one of just these."""

    def __init__(self, config: HttpConfig) -> None:
        self._allow_private = config.allow_private_addresses
        super().__init__(KEPT_HOSTS, config.connections_per_host)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: object) -> None:
        """Make the pools, with connections of this module's kind."""
        super().init_poolmanager(connections, maxsize, block, **more)
        plain, tls = _connection_classes(allow_private=self._allow_private)

        class Plain(HTTPConnectionPool):
            ConnectionCls = plain

        class Tls(HTTPSConnectionPool):
            ConnectionCls = tls

        self.poolmanager.pool_classes_by_scheme = {"http": Plain, "https": Tls}

    def cert_verify(self, conn: HTTPSConnection, url: str, verify: object, cert: object) -> None:  # noqa: ARG002 - the signature is given
        """Have the certificate verified, by the context that has the authorities already."""
        conn.cert_reqs = "CERT_REQUIRED"


def _connection_classes(*, allow_private: bool) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Return connection classes; TLS still verifies the certificate against the host's name."""

    def open_socket(connection: HTTPConnection) -> socket.socket:
        host, timeout = connection._dns_host, float(connection.timeout or 0)  # noqa: SLF001 - with the trailing dot
        try:
            found = resolve(host.strip("[]"), connection.port, allow_private=allow_private)
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
        def _new_conn(self) -> socket.socket:
            return open_socket(self)

    class Tls(HTTPSConnection):
        def __init__(self, host: str, port: int | None = None, **more: Any) -> None:  # noqa: ANN401 - of any type
            super().__init__(host, port, **{**more, "ssl_context": tls_context()})

        def _new_conn(self) -> socket.socket:
            return open_socket(self)

    return Plain, Tls
