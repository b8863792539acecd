from __future__ import annotations

import contextlib
import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from features.base.errors import ClipError
from features.base.parallel import STOPPING, StoppedError
from features.http.client import HttpClient
from features.http.config import HttpConfig
from features.http.connections import tls_context
from features.http.guard import Guard, GuardedSocket
from tests.features.fetches import MP4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.features.fetches import Fetches
    from tests.features.server import Site

PUBLIC = "8.8.8.8"


class Names:
    """A name server that gives a name another address each time it is asked.

    Attributes:
        asked: Names, in order.
        connected: Addresses that a connection was made to; each of them is the loopback server in truth.
    """

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self._answers = answers
        self.asked: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str, port: int, *_: object, **__: object) -> list[object]:
        self.asked.append(host)
        answers = self._answers.get(host, [host])
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(self, opened: GuardedSocket, address: tuple[str, int]) -> None:
        self.connected.append(address[0])
        socket.socket.connect(opened, ("127.0.0.1", address[1]))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names(
        {"rebound.example": [PUBLIC, "127.0.0.1"], "public.example": [PUBLIC], "inside.example": ["10.0.0.1"]}
    )
    monkeypatch.setattr(socket, "getaddrinfo", found.resolve)
    monkeypatch.setattr(GuardedSocket, "connect", lambda opened, address: found.connect(opened, address), raising=False)  # noqa: PLW0108 - a method binds no socket
    return found


def port_of(site: Site) -> str:
    return site.address.rpartition(":")[2]


def test_a_name_is_asked_for_once_and_only_the_checked_address_is_connected_to(
    site: Site, fetches: Fetches, names: Names
) -> None:
    site.add("/a", MP4)
    url = f"http://rebound.example:{port_of(site)}/a"
    assert fetches.body(url, allow_private_addresses=False) == MP4
    assert names.asked == ["rebound.example"]
    assert names.connected == [PUBLIC]
    assert site.asked[0][1]["Host"] == f"rebound.example:{port_of(site)}"
    # The second answer is this machine: a new connection is refused, and none is made.
    assert fetches.code(url + "?again", allow_private_addresses=False) == "address_not_allowed"
    assert names.connected == [PUBLIC]


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "inside.example", "[::1]", "0.0.0.0"],  # noqa: S104
)
def test_a_redirect_from_a_public_name_to_a_private_address_is_refused(
    site: Site, fetches: Fetches, names: Names, target: str
) -> None:
    site.add("/a", b"", 302, Location=f"http://{target}:{port_of(site)}/secret")
    site.add("/secret", MP4)
    url = f"http://public.example:{port_of(site)}/a"
    with pytest.raises(ClipError, match=r"address_not_allowed: .* no public address"):
        fetches.get(url, allow_private_addresses=False)
    assert site.paths() == ["/a"]
    assert names.connected == [PUBLIC]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "１２７.０.０.１", "127。0。0。1"])
def test_no_spelling_of_this_machine_is_connected_to(site: Site, fetches: Fetches, host: str) -> None:
    site.add("/a", MP4)
    url = f"http://{host}:{port_of(site)}/a"
    assert fetches.code(url, allow_private_addresses=False) in {"address_not_allowed", "bad_url"}
    assert site.num_connections == 0


def test_a_name_without_an_address_is_tried_again(fetches: Fetches, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ClipError, match=r"connection_failed: the host name has no address \(4 attempts\)"):
        fetches.get("http://nowhere.invalid/a")
    assert len(fetches.longest_pauses) == 3


def test_the_body_of_a_redirect_is_not_read(site: Site, fetches: Fetches) -> None:
    num_sent = 0

    def move(request: BaseHTTPRequestHandler) -> None:
        nonlocal num_sent
        request.send_response(302)
        request.send_header("Location", "/b")
        request.end_headers()
        request.close_connection = True
        with contextlib.suppress(OSError):
            while True:
                num_sent += request.wfile.write(bytes(1 << 16))

    site.pages["/a"] = move
    site.add("/b", MP4)
    assert fetches.body(site.url("/a"), max_seconds=2.0, max_attempts=1) == MP4
    # What the buffers of the connection hold.
    assert num_sent < 16_000_000


def test_the_body_of_a_redirect_is_not_unpacked(site: Site, fetches: Fetches) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    site.add("/b", MP4)
    url = site.add("/a", bomb, 302, Location="/b", Content_Encoding="gzip")
    tracemalloc.start()
    try:
        assert fetches.body(url) == MP4
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_the_connection_outlives_a_redirect_with_a_short_body(site: Site, fetches: Fetches) -> None:
    site.add("/b", MP4)
    assert fetches.body(site.add("/a", b"moved", 302, Location="/b")) == MP4
    assert site.num_connections == 1


@contextmanager
def raw_server(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that does with each connection as it likes, and yield its address without a scheme."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        ending = threading.Event()

        def accept() -> None:
            while not ending.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(5)
                    try:
                        handle(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ending.set()
            thread.join()


def drip(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    """Send a start, and then a piece every 20 ms for as long as somebody listens."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(start)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            connection.sendall(piece)
            time.sleep(0.02)

    return handle


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 103 Early Hints\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
)
def test_headers_that_drip_end_at_the_time_limit(fetches: Fetches, start: bytes, piece: bytes) -> None:
    with raw_server(drip(start, piece)) as address:
        started = time.monotonic()
        code = fetches.code(f"http://{address}/a", timeout_seconds=0.4, max_seconds=1.0, max_attempts=1)
        assert code == "timeout"
        assert time.monotonic() - started < 4


def test_a_tls_handshake_that_drips_ends_at_the_time_limit(fetches: Fetches) -> None:
    # The start of a TLS record of 16 KB, and then its bytes one by one.
    with raw_server(drip(b"\x16\x03\x03\x40\x00", b"\x02")) as address:
        started = time.monotonic()
        code = fetches.code(f"https://{address}/a", timeout_seconds=0.4, max_attempts=1)
        assert code in {"timeout", "connection_failed"}
        assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "sent",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n", b"HTTP/1.1 ok\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_a_failed_connection(fetches: Fetches, sent: bytes) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(sent)

    with raw_server(handle) as address:
        with pytest.raises(ClipError, match=r"connection_failed: .* \(2 attempts\)") as caught:
            fetches.get(f"http://{address}/a", max_attempts=2)
        assert "0x" not in str(caught.value)


INFORMATIONAL = {
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>; rel=preload\r\n\r\n",
    "unknown": b"HTTP/1.1 199 Miscellaneous\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("kinds", [*([kind] for kind in INFORMATIONAL), [*INFORMATIONAL], ["hints"] * 30])
def test_what_is_said_before_the_answer_is_no_answer(fetches: Fetches, kinds: list[str]) -> None:
    before = b"".join(INFORMATIONAL[kind] for kind in kinds)
    num_connections = 0

    def handle(connection: socket.socket) -> None:
        nonlocal num_connections
        num_connections += 1
        # A redirect, then the file, on one connection.
        for path in (b"/a", b"/b"):
            assert connection.recv(10_000).startswith(b"GET " + path)
            answer = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
            whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MP4) + MP4
            connection.sendall(before + (answer if path == b"/a" else whole))

    with raw_server(handle) as address:
        assert fetches.body(f"http://{address}/a") == MP4
    assert num_connections == 1


def test_the_answers_before_the_answer_are_counted(fetches: Fetches) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(INFORMATIONAL["hints"] * 65 + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    with (
        raw_server(handle) as address,
        pytest.raises(ClipError, match=r"connection_failed: .*more than 64 informational"),
    ):
        fetches.get(f"http://{address}/a", max_attempts=1)


@pytest.mark.parametrize(
    ("headers", "num_connections"),
    [
        (b"Content-Length: %d", 1),
        (b"content-length:%d", 1),
        (b"Content-Length: %d\r\nContent-Length: %d", 1),
        (b"X-Long: a\r\n  b\r\n\tc\r\nno field\r\n of none\r\nContent-Length : %d", 1),
        (b"Content-Length: %d\r\nConnection: close", 2),
        (b"Transfer-Encoding: identity\r\nContent-Length: %d", 1),
        (b"Content-Length: +%d", 2),
        (b"Content-Length: 5, %d", 2),
        (b"X: y", 2),
    ],
)
def test_where_a_body_ends(fetches: Fetches, headers: bytes, num_connections: int) -> None:
    connections: list[socket.socket] = []
    stated = headers.replace(b"%d", b"5" if b"5, " not in headers else b"6")

    def handle(connection: socket.socket) -> None:
        connections.append(connection)
        while request := connection.recv(10_000):
            if request.startswith(b"GET /b"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MP4) + MP4)
                return
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /b\r\n" + stated + b"\r\n\r\nmoved")
            if num_connections > 1:
                return

    with raw_server(handle) as address:
        assert fetches.body(f"http://{address}/a") == MP4
    assert len(connections) == num_connections


def test_a_length_beside_a_coding_counts_for_nothing() -> None:
    connections: list[socket.socket] = []

    def handle(connection: socket.socket) -> None:
        connections.append(connection)
        while connection.recv(10_000):
            headers = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
            connection.sendall(headers + b"%x\r\n%s\r\n0\r\n\r\n" % (len(MP4), MP4))

    client = HttpClient(HttpConfig(allow_private_addresses=True))
    with raw_server(handle) as address, contextlib.closing(client):
        for _ in range(2):
            with client.get(f"http://{address}/a", {}, Guard(5.0, 5.0)) as response:
                assert (response.length, b"".join(response.chunks())) == (None, MP4)
    # What follows such an answer is not trusted.
    assert len(connections) == 2


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Ty", "connection_failed"),
        (b"HTTP/1.1 200 OK\r\n", "connection_failed"),
        (b"HTTP/1.1 404 Not Found\r\n", "http_404"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 999999\r\n\r\n" + MP4, "incomplete_body"),
    ],
)
def test_an_answer_that_breaks_off_is_no_file(fetches: Fetches, sent: bytes, code: str) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(sent)

    with raw_server(handle) as address:
        assert fetches.code(f"http://{address}/a", max_attempts=1) == code


def test_another_protocol_is_not_changed_to(fetches: Fetches) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")

    with raw_server(handle) as address:
        assert fetches.code(f"http://{address}/a", max_attempts=1) == "http_101"


@pytest.mark.parametrize("place", ["headers", "body", "connection"])
def test_a_stop_is_noticed_while_waiting(fetches: Fetches, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" if place == "body" else b""

    def handle(connection: socket.socket) -> None:
        connection.sendall(head)
        # Until the other side has gone.
        connection.settimeout(10)
        while connection.recv(10_000):
            continue

    with raw_server(handle) as address:
        # A network that answers nothing, as far as connections go.
        url = "http://192.0.2.1/a" if place == "connection" else f"http://{address}/a"
        if place == "connection":
            monkeypatch.setattr(GuardedSocket, "connect", refuse_for_now, raising=False)
            monkeypatch.setattr("features.http.guard.select.poll", NeverReady)
        timer = threading.Timer(0.2, STOPPING.set)
        timer.start()
        started = time.monotonic()
        try:
            with pytest.raises(StoppedError):
                fetches.get(url, timeout_seconds=30)
        finally:
            timer.join()
            STOPPING.clear()
        assert time.monotonic() - started < 5


def refuse_for_now(_: GuardedSocket, __: object) -> None:
    raise TimeoutError


class NeverReady:
    def register(self, *_: object) -> None:
        """Take note of nothing."""

    def poll(self, milliseconds: float) -> list[object]:
        time.sleep(milliseconds / 1000)
        return []


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for the name ``files.example`` that signs itself, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=files.example", "-addext", "subjectAltName=DNS:files.example", "-keyout", path, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@contextmanager
def tls_server(certificate: Path, names_asked: list[str | None]) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _connection, name, _context: names_asked.append(name)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(10_000)
            wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MP4) + MP4)

    with raw_server(handle) as address:
        yield address.rpartition(":")[2]


def test_tls_goes_to_the_checked_address_and_is_verified_by_name(
    certificate: Path, fetches: Fetches, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names._answers.update({"files.example": [PUBLIC], "files.example.": [PUBLIC], "other.example": [PUBLIC]})
    asked: list[str | None] = []
    with tls_server(certificate, asked) as port:
        url = f"https://files.example:{port}/a"
        code = fetches.code(url, allow_private_addresses=False, max_attempts=1)
        assert code == "certificate_refused"
        trusting = ssl.create_default_context(cafile=str(certificate))
        trusting.sslsocket_class = tls_context().sslsocket_class
        monkeypatch.setattr("features.http.connections.tls_context", lambda: trusting)
        assert fetches.body(url, allow_private_addresses=False) == MP4
        assert fetches.body(f"https://files.example.:{port}/a", allow_private_addresses=False) == MP4
        code = fetches.code(f"https://other.example:{port}/a", allow_private_addresses=False)
        assert code == "certificate_refused"
    assert asked[:3] == ["files.example"] * 3
    assert set(names.connected) == {PUBLIC}
