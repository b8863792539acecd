"""A web server on the loopback interface that answers as a test wants."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass
class Site:
    """What the server holds, and what it was asked for.

    Attributes:
        pages: Path -> function that answers a request.
        asked: Path and headers of every request, in order.
        address: Start of every URL.
        num_connections: Connections that were opened.
    """

    pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    address: str = ""
    num_connections: int = 0

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def url(self, path: str) -> str:
        return self.address + path

    def add(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Serve a body under a path and return its URL; ``_`` in the name of a header stands for ``-``."""
        self.pages[path] = lambda request: answer(request, body, status, headers)
        return self.url(path)

    def add_file(self, path: str, body: bytes, *breaks: int, **headers: str) -> str:
        """Serve a body with ranges; the n-th answer breaks off after the n-th number of ``breaks`` bytes, 0 = never."""
        self.pages[path] = File(body, headers, list(breaks))
        return self.url(path)

    def add_series(self, path: str, *answers: tuple[int, bytes, dict[str, str]]) -> str:
        """Answer the first request with the first of ``answers``, and so on; the last one stands."""
        waiting = list(answers)

        def take_turns(request: BaseHTTPRequestHandler) -> None:
            status, body, headers = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            answer(request, body, status, headers)

        self.pages[path] = take_turns
        return self.url(path)


@dataclass
class File:
    """A body that is served as RFC 9110 14 says; what it holds can be changed between requests.

    Attributes:
        body: The content.
        headers: Validators and more, ``_`` for ``-``.
        breaks: Bytes after which the next answers break off, 0 = they do not.
    """

    body: bytes
    headers: dict[str, str]
    breaks: list[int]

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        start = int((request.headers.get("Range") or "bytes=0-")[len("bytes=") : -1])
        validator = request.headers.get("If-Range")
        if validator is not None and validator not in {self.headers.get("ETag"), self.headers.get("Last_Modified")}:
            start = 0
        total = len(self.body)
        if start >= total:
            answer(request, b"", 416, {"Content_Range": f"bytes */{total}"})
            return
        headers = {"Content_Length": str(total - start), **self.headers}
        if start:
            headers["Content_Range"] = f"bytes {start}-{total - 1}/{total}"
        length = self.breaks.pop(0) if self.breaks else 0
        body = self.body[start : start + length] if length else self.body[start:]
        answer(request, body, 206 if start else 200, headers)
        request.close_connection = bool(length)


def answer(request: BaseHTTPRequestHandler, body: bytes, status: int, headers: Mapping[str, str]) -> None:
    request.send_response(status)
    stated = {"Content_Length": str(len(body)), **headers}
    for name, value in stated.items():
        if value:
            request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)
    # Without a length, or with a wrong one, the end of the connection is the end of the body.
    framed = stated["Content_Length"] == str(len(body)) or "Transfer_Encoding" in stated
    request.close_connection = request.close_connection or not framed


def not_found(request: BaseHTTPRequestHandler) -> None:
    answer(request, b"", 404, {})


class QuietServer(ThreadingHTTPServer):
    """Does not mind clients that hang up, as those of some tests should."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the original
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def serve(host: str = "127.0.0.1") -> Iterator[Site]:
    """Run a server on a loopback address for as long as the context lasts."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            site.asked.append((path, dict(self.headers)))
            page = site.pages.get(path, not_found)
            page(self)
            self.wfile.flush()

        def setup(self) -> None:
            super().setup()
            site.num_connections += 1

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
            """Say nothing."""

    server = QuietServer((host, 0), Handler)
    site.address = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
