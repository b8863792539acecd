"""A web server on the loopback interface that answers as a test wants."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass
class Site:
    """What the server holds, and what it was asked for.

    Attributes:
        pages: Path -> function that answers a request.
        asked: Path and headers of every request, in order.
        address: Start of every URL.
    """

    pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    address: str = ""

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def url(self, path: str) -> str:
        return self.address + path

    def add(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Serve a body under a path and return its URL; ``_`` in the name of a header stands for ``-``."""
        self.pages[path] = lambda request: answer(request, body, status, headers)
        return self.url(path)

    def add_series(self, path: str, *answers: tuple[int, bytes, dict[str, str]]) -> str:
        """Answer the first request with the first of ``answers``, and so on; the last one stands."""
        waiting = list(answers)

        def take_turns(request: BaseHTTPRequestHandler) -> None:
            status, body, headers = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            answer(request, body, status, headers)

        self.pages[path] = take_turns
        return self.url(path)


def answer(request: BaseHTTPRequestHandler, body: bytes, status: int, headers: Mapping[str, str]) -> None:
    request.send_response(status)
    stated = {"Content_Length": str(len(body)), **headers}
    for name, value in stated.items():
        if value:
            request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def not_found(request: BaseHTTPRequestHandler) -> None:
    answer(request, b"", 404, {})


@contextmanager
def serve() -> Iterator[Site]:
    """Run a server for as long as the context lasts."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            site.asked.append((path, dict(self.headers)))
            page = site.pages.get(path, not_found)
            page(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
