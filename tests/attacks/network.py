"""Servers and names that want to be somebody else."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

from features.http.guard import is_public
from tests.features.server import Site, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

# A loopback address that plays the public internet; 127.0.0.1 plays what must not be reached.
PUBLIC = "127.0.0.2"
NAMES = {
    "public.example": [PUBLIC],
    "inside.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "intranet.example": ["10.0.0.7"],
    "mixed.example": [PUBLIC, "192.168.1.1"],
}
# Says that it is public when it is asked for the first time, and this machine from then on.
REBINDING = "rebind.example"


@dataclass
class Internet:
    """A public server, a victim on the inside, and names for both.

    Attributes:
        public: What may be fetched.
        victim: What must not be asked for anything.
        lookups: Names that were looked up, in order.
    """

    public: Site
    victim: Site
    lookups: list[str] = field(default_factory=list)

    def url(self, host: str, path: str, site: Site | None = None) -> str:
        """Return the URL of a path on the port of ``site``, the public one if left out."""
        return f"http://{host}:{(site or self.public).address.rpartition(':')[2]}{path}"

    def resolve(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ANN401 - as the original
        """Stand in for ``socket.getaddrinfo``."""
        self.lookups.append(host)
        if host == REBINDING:
            addresses = ["127.0.0.1"] if self.lookups.count(REBINDING) > 1 else [PUBLIC]
        else:
            addresses = NAMES.get(host, [])
        if not addresses:
            return list(_getaddrinfo(host, port, *args, **kwargs))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


_getaddrinfo = socket.getaddrinfo


@contextmanager
def internet() -> Iterator[Internet]:
    """Let names of :data:`NAMES` exist, and :data:`PUBLIC` count as public, for as long as the context lasts."""
    with ExitStack() as stack:
        found = Internet(stack.enter_context(serve(PUBLIC)), stack.enter_context(serve()))
        stack.enter_context(mock.patch("socket.getaddrinfo", found.resolve))
        stack.enter_context(
            mock.patch("features.http.guard.is_public", lambda address: address == PUBLIC or is_public(address))
        )
        yield found


def redirect(location: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a page that leads elsewhere."""

    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", location)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return page


def endless(request: BaseHTTPRequestHandler) -> None:
    """Send a body without a length for as long as somebody listens."""
    request.send_response(200)
    request.end_headers()
    _send_without_end(request)


def endless_redirect(location: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a page that leads elsewhere and has a body without an end all the same."""

    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", location)
        request.end_headers()
        _send_without_end(request)

    return page


def _send_without_end(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    with _until_gone():
        request.wfile.write(b"\0\0\0\x18ftypisom")
        while not request.wfile.closed:
            request.wfile.write(bytes(1 << 16))


def trickling_body(request: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then."""
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    with _until_gone():
        for byte in b"\0\0\0\x18ftypisom" + bytes(400):
            request.wfile.write(bytes([byte]))
            request.wfile.flush()
            time.sleep(0.05)
    request.close_connection = True


def trickling_headers(request: BaseHTTPRequestHandler) -> None:
    """Send one header now and then and never end them."""
    with _until_gone():
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(400):
            request.wfile.write(f"X-{number}: y\r\n".encode())
            request.wfile.flush()
            time.sleep(0.05)
    request.close_connection = True


def silent(request: BaseHTTPRequestHandler) -> None:
    """Say nothing until the client has gone."""
    with _until_gone():
        request.connection.settimeout(20)
        request.connection.recv(1)
    request.close_connection = True


def lying_length(body: bytes, stated: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a page whose body is not as long as it says."""

    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(stated))
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = True

    return page


@contextmanager
def _until_gone() -> Iterator[None]:
    try:
        yield
    except OSError:
        # The client has hung up, as it should.
        return


@contextmanager
def datagrams() -> Iterator[tuple[int, list[bytes]]]:
    """Yield a UDP port and what arrives at it."""
    arrived: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.1)
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                try:
                    arrived.append(receiver.recv(2048))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield receiver.getsockname()[1], arrived
        finally:
            ended.set()
            thread.join()


def integer_spelling(address: str) -> str:
    """Return an IPv4 address as one decimal number, which URLs may use."""
    return str(int(ipaddress.IPv4Address(address)))
