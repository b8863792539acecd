from __future__ import annotations

import gzip
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from features.errors import ClipError, SettingError
from features.http import HttpConfig, fetch

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.features.server import Site

BODY = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which the tests do not wait for."""
    asked: list[float] = []
    monkeypatch.setattr("features.http.STOPPING.wait", asked.append)
    monkeypatch.setattr("features.http.random.uniform", lambda _low, _high: 1.0)
    return asked


def config(**values: Any) -> HttpConfig:  # noqa: ANN401 - of any type
    return HttpConfig(**{"allow_private_addresses": True, **values})


def code_of(url: str, path: Path, **values: Any) -> str:  # noqa: ANN401 - of any type
    with pytest.raises(ClipError) as caught:
        fetch(url, path, config(**values))
    return caught.value.code


def test_a_file_arrives_whole(site: Site, tmp_path: Path) -> None:
    fetch(site.add("/a.mp4", BODY), tmp_path / "a", config(user_agent="test/1"))
    assert (tmp_path / "a").read_bytes() == BODY
    ((_, headers),) = site.asked
    assert headers["User-Agent"] == "test/1"
    assert headers["Accept-Encoding"] == "identity"


def test_a_file_without_a_stated_length_arrives_too(site: Site, tmp_path: Path) -> None:
    fetch(site.add("/a", BODY, Content_Length=""), tmp_path / "a", config())
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_file_in_chunks_arrives_too(site: Site, tmp_path: Path) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY, b"end")) + b"0\r\n\r\n"
    fetch(site.add("/a", body, Content_Length="", Transfer_Encoding="chunked"), tmp_path / "a", config())
    assert (tmp_path / "a").read_bytes() == BODY + b"end"


def test_a_body_that_was_compressed_unasked_is_unpacked(site: Site, tmp_path: Path) -> None:
    fetch(site.add("/a", gzip.compress(BODY), Content_Encoding="gzip"), tmp_path / "a", config())
    assert (tmp_path / "a").read_bytes() == BODY
    bomb = site.add("/bomb", gzip.compress(bytes(1_000_000)), Content_Encoding="gzip")
    assert code_of(bomb, tmp_path / "a", max_bytes=100_000) == "too_large"
    assert code_of(site.add("/bad", BODY, Content_Encoding="gzip"), tmp_path / "a") == "incomplete_body"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 204, 206])
def test_a_final_answer_is_asked_for_once(site: Site, tmp_path: Path, pauses: list[float], status: int) -> None:
    assert code_of(site.add("/a", b"", status), tmp_path / "a") == f"http_{status}"
    assert site.paths() == ["/a"]
    assert pauses == []
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again_with_growing_pauses(
    site: Site, tmp_path: Path, pauses: list[float], status: int
) -> None:
    fetch(site.add_series("/a", (status, b"", {}), (status, b"", {}), (200, BODY, {})), tmp_path / "a", config())
    assert (tmp_path / "a").read_bytes() == BODY
    assert pauses == [1.0, 2.0]


def test_attempts_are_counted(site: Site, tmp_path: Path, pauses: list[float]) -> None:
    site.add("/a", b"", 503)
    with pytest.raises(ClipError, match=r"http_503: the server answered 503 \(3 attempts\)"):
        fetch(site.url("/a"), tmp_path / "a", config(max_attempts=3))
    assert len(site.asked) == 3
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize(("asked", "pause"), [("7", 7.0), ("9999", 60.0), ("0", 1.0), ("soon", 1.0), ("²", 1.0)])
def test_retry_after_is_heeded_within_reason(
    site: Site, tmp_path: Path, pauses: list[float], asked: str, pause: float
) -> None:
    fetch(site.add_series("/a", (429, b"", {"Retry_After": asked}), (200, b"x", {})), tmp_path / "a", config())
    assert pauses == [pause]


def test_no_attempt_is_made_that_would_start_after_the_deadline(
    site: Site, tmp_path: Path, pauses: list[float]
) -> None:
    url = site.add("/a", b"", 503, Retry_After="30")
    assert code_of(url, tmp_path / "a", max_seconds=5) == "http_503"
    assert len(site.asked) == 1
    assert pauses == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: Site, tmp_path: Path, status: int) -> None:
    site.add("/folder/b", BODY)
    fetch(site.add("/a", b"", status, Location="folder/b"), tmp_path / "a", config())
    assert (tmp_path / "a").read_bytes() == BODY
    assert site.paths() == ["/a", "/folder/b"]


def test_redirects_are_limited(site: Site, tmp_path: Path) -> None:
    for index in range(4):
        site.add(f"/{index}", b"x", 302, Location=f"/{index + 1}")
    site.add("/4", b"x")
    fetch(site.url("/0"), tmp_path / "a", config(max_redirects=4))
    assert code_of(site.add("/loop", b"", 302, Location="/loop"), tmp_path / "a") == "too_many_redirects"
    assert site.paths().count("/loop") == 6
    assert code_of(site.url("/0"), tmp_path / "a", max_redirects=3) == "too_many_redirects"


def test_a_redirect_to_another_scheme_is_refused(site: Site, tmp_path: Path) -> None:
    url = site.add("/a", b"", 302, Location="file:///etc/passwd")
    assert code_of(url, tmp_path / "a") == "scheme_not_allowed"


def test_a_redirect_to_a_private_address_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first host counts as public, and is in fact the loopback server.
    def resolve(host: str, *_: object, **__: object) -> list[object]:
        address = "8.8.8.8" if host == "127.0.0.1" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    monkeypatch.setattr("features.http.socket.getaddrinfo", resolve)
    monkeypatch.setattr("urllib3.util.connection.create_connection", lambda address, *_, **__: real_connection(address))
    url = site.add("/a", b"", 302, Location="http://10.0.0.1/secret")
    with pytest.raises(ClipError, match=r"address_not_allowed: 10\.0\.0\.1 is 10\.0\.0\.1, no public address"):
        fetch(url, tmp_path / "a", HttpConfig())
    assert site.paths() == ["/a"]


def real_connection(address: tuple[str, int]) -> socket.socket:
    connection = socket.socket()
    connection.connect(address)
    return connection


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0", "10.1.2.3", "192.168.0.1", "169.254.169.254",
     "100.64.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fd00::1]", "[fe80::1]"],
)  # fmt: skip
def test_addresses_of_this_machine_and_its_network_are_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ClipError, match=r"address_not_allowed: .*see allow_private_addresses"):
        fetch(f"http://{host}:9/a.mp4", tmp_path / "a", HttpConfig())


def test_a_name_without_an_address_is_tried_again(
    tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("features.http.socket.getaddrinfo", fail)
    with pytest.raises(ClipError, match=r"connection_failed: nowhere\.invalid has no address \(4 attempts\)"):
        fetch("http://nowhere.invalid/a", tmp_path / "a", HttpConfig())
    assert len(pauses) == 3


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/", "a.mp4", "http:///a", ""])
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    assert code_of(url, tmp_path / "a") == "scheme_not_allowed"


@pytest.mark.parametrize("host", ["user:key@127.0.0.1", "user@127.0.0.1", ":@127.0.0.1"])
def test_credentials_are_refused_and_not_repeated(tmp_path: Path, host: str) -> None:
    with pytest.raises(ClipError, match="bad_url") as caught:
        fetch(f"http://{host}/a", tmp_path / "a", config())
    assert "key" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1/a", "http://127.0.0.1:99999/a", "http://127.0.0.1:port/a", "http://\u2100/"]
)
def test_a_url_that_is_none_is_a_failed_clip(tmp_path: Path, url: str) -> None:
    assert code_of(url, tmp_path / "a") == "bad_url"


@pytest.mark.parametrize("host", ["." * 5, "x" * 300, "a..b"])
def test_a_name_that_cannot_exist_is_a_failed_clip(tmp_path: Path, host: str) -> None:
    for allowed in (True, False):
        with pytest.raises(ClipError) as caught:
            fetch(f"http://{host}/a", tmp_path / "a", HttpConfig(allow_private_addresses=allowed, max_attempts=1))
        assert caught.value.code in {"bad_url", "connection_failed"}


def test_a_body_shorter_than_stated_is_tried_again(site: Site, tmp_path: Path, pauses: list[float]) -> None:
    short = (200, BODY[:1000], {"Content_Length": str(len(BODY))})
    fetch(site.add_series("/a", short, (200, BODY, {})), tmp_path / "a", config())
    assert (tmp_path / "a").read_bytes() == BODY
    assert pauses == [1.0]
    assert code_of(site.add_series("/b", short), tmp_path / "b") == "incomplete_body"


def test_chunks_that_break_off_are_an_incomplete_body(site: Site, tmp_path: Path) -> None:
    url = site.add("/a", b"ff\r\nonly this", Content_Length="", Transfer_Encoding="chunked")
    assert code_of(url, tmp_path / "a", max_attempts=2) == "incomplete_body"
    assert len(site.asked) == 2


def test_too_large_by_the_header_is_refused_before_the_body(site: Site, tmp_path: Path) -> None:
    assert code_of(site.add("/a", BODY), tmp_path / "a", max_bytes=len(BODY) - 1) == "too_large"
    assert not (tmp_path / "a").exists()
    fetch(site.url("/a"), tmp_path / "a", config(max_bytes=len(BODY)))


def test_too_large_by_the_body_is_refused_on_the_way(site: Site, tmp_path: Path) -> None:
    url = site.add("/a", BODY, Content_Length="")
    assert code_of(url, tmp_path / "a", max_bytes=len(BODY) - 1) == "too_large"
    assert (tmp_path / "a").stat().st_size < len(BODY)


def test_a_server_that_is_not_there_is_tried_again(tmp_path: Path, pauses: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        assert code_of(url, tmp_path / "a", max_attempts=2) == "connection_failed"
    assert pauses == [1.0]


def hang(seconds_between: float, parts: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def write(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        try:
            for _ in range(parts):
                request.wfile.write(b"x")
                REAL_SLEEP(seconds_between)
        except OSError:
            return

    return write


REAL_SLEEP = time.sleep


def test_a_server_that_says_nothing_is_a_timeout(site: Site, tmp_path: Path) -> None:
    site.pages["/headers"] = lambda _: REAL_SLEEP(1.0)
    site.pages["/body"] = hang(1.0, 1)
    for name in ("/headers", "/body"):
        assert code_of(site.url(name), tmp_path / "a", timeout_seconds=0.2, max_attempts=1) == "timeout"


def test_a_server_that_trickles_is_stopped_at_the_deadline(site: Site, tmp_path: Path) -> None:
    site.pages["/a"] = hang(0.05, 100)
    started = time.monotonic()
    assert code_of(site.url("/a"), tmp_path / "a", max_seconds=0.3) == "timeout"
    assert time.monotonic() - started < 2


def test_no_proxy_of_the_environment_is_used(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fetch(site.add("/a", BODY), tmp_path / "a", config())

    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize("name", ["max_bytes", "timeout_seconds", "max_seconds", "max_attempts"])
def test_limits_are_above_zero(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is 0: give a number above 0"):
        config(**{name: 0})
