"""Fetches one URL into a file, politely and within limits."""

from __future__ import annotations

import ipaddress
import random
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from features.errors import ClipError, SettingError
from features.parallel import STOPPING

if TYPE_CHECKING:
    from pathlib import Path

    import requests

CHUNK_BYTES = 1 << 16
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
# Longest pause between two attempts.
MAX_PAUSE_SECONDS = 60.0
HTTP_OK = 200


@dataclass(frozen=True)
class HttpConfig:
    """Limits of one fetch.

    Attributes:
        max_bytes: A larger file is refused, local ones too.
        timeout_seconds: For the connection, and for each wait for data.
        max_seconds: For the whole file.
        max_attempts: Tries of a file whose failure may pass: a connection error or 408, 425, 429, 5xx.
        max_redirects: Redirects followed for one file.
        allow_private_addresses: Fetch from loopback, link-local and private addresses too.
        user_agent: What the requests call themselves.
    """

    max_bytes: int = 2_000_000_000
    timeout_seconds: float = 20.0
    max_seconds: float = 600.0
    max_attempts: int = 4
    max_redirects: int = 5
    allow_private_addresses: bool = False
    user_agent: str = "short-video-pipeline/0.1"

    def __post_init__(self) -> None:
        for name in ("max_bytes", "timeout_seconds", "max_seconds", "max_attempts"):
            if not getattr(self, name) > 0:
                raise SettingError(f"{name} is {getattr(self, name)}: give a number above 0")
        if self.max_redirects < 0:
            raise SettingError(f"max_redirects is {self.max_redirects}: give 0 or more")


def fetch(url: str, path: Path, config: HttpConfig) -> None:
    """Write the content of ``url`` to ``path``.

    Failures that may pass are tried again after 1, 2, 4, ... seconds with jitter, or after what a
    ``Retry-After`` header in seconds asks for.

    Raises:
        ClipError: ``http_<status>``, ``too_large``, ``connection_failed``, ``timeout``,
            ``too_many_redirects``, ``address_not_allowed``, ``scheme_not_allowed``, ``bad_url`` or
            ``incomplete_body``.
    """
    deadline = time.monotonic() + config.max_seconds
    for attempt in range(1, config.max_attempts + 1):
        try:
            _attempt(url, path, config, deadline)
        except _PassingError as error:
            pause = error.pause_seconds or 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311
            if attempt == config.max_attempts or time.monotonic() + pause > deadline:
                raise ClipError(error.code, f"{error.detail} ({attempt} attempts)") from error
            if STOPPING.wait(min(pause, MAX_PAUSE_SECONDS)):
                raise ClipError(error.code, "the run was stopped") from error
        else:
            return


class _PassingError(ClipError):
    """A failure that another attempt may not meet."""

    def __init__(self, code: str, detail: str, pause_seconds: float = 0.0) -> None:
        super().__init__(code, detail)
        self.pause_seconds = pause_seconds


_local = threading.local()


def _session() -> requests.Session:
    """Return this thread's session, which keeps connections open."""
    import requests  # noqa: PLC0415 - local corpora never fetch

    if not hasattr(_local, "session"):
        _local.session = requests.Session()
        _local.session.trust_env = False
    session: requests.Session = _local.session
    return session


def _attempt(url: str, path: Path, config: HttpConfig, deadline: float) -> None:
    import requests  # noqa: PLC0415 - local corpora never fetch
    import urllib3  # noqa: PLC0415 - likewise

    try:
        with _open(url, config) as response:
            if response.status_code != HTTP_OK:
                _refuse(response)
            _receive(response, path, config, deadline)
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _PassingError("timeout", f"no answer within {config.timeout_seconds:g} s") from error
    except requests.ConnectionError as error:
        raise _PassingError("connection_failed", type(error).__name__) from error
    except (requests.RequestException, ValueError) as error:
        raise ClipError("bad_url", f"{type(error).__name__}: {error}") from error
    except urllib3.exceptions.HTTPError as error:
        raise _PassingError("incomplete_body", f"the body broke off or cannot be unpacked: {error}") from error


def _open(url: str, config: HttpConfig) -> requests.Response:
    """Return the response after redirects, each of them checked like the first address."""
    for _ in range(config.max_redirects + 1):
        _check_address(url, config)
        response = _session().get(
            url,
            stream=True,
            timeout=config.timeout_seconds,
            allow_redirects=False,
            headers={"User-Agent": config.user_agent, "Accept-Encoding": "identity"},
        )
        target = response.headers.get("Location")
        if response.status_code not in REDIRECTS or target is None:
            return response
        response.close()
        url = urljoin(url, target)
    raise ClipError("too_many_redirects", f"more than max_redirects = {config.max_redirects}")


def _check_address(url: str, config: HttpConfig) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ClipError("scheme_not_allowed", f"{parts.scheme or 'no scheme'}: only http and https are fetched")
    if parts.username is not None or parts.password is not None:
        raise ClipError("bad_url", "a URL with a user name or password is not fetched")
    if config.allow_private_addresses:
        return
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _PassingError("connection_failed", f"{parts.hostname} has no address") from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            raise ClipError(
                "address_not_allowed",
                f"{parts.hostname} is {address[0]}, no public address; see allow_private_addresses",
            )


def _refuse(response: requests.Response) -> None:
    status = response.status_code
    if status in TRANSIENT:
        asked = response.headers.get("Retry-After", "")
        pause = min(float(asked), MAX_PAUSE_SECONDS) if asked.isdecimal() else 0.0
        raise _PassingError(f"http_{status}", f"the server answered {status}", pause)
    raise ClipError(f"http_{status}", f"the server answered {status}")


def _receive(response: requests.Response, path: Path, config: HttpConfig, deadline: float) -> None:
    stated = response.headers.get("Content-Length", "")
    if stated.isdecimal() and int(stated) > config.max_bytes:
        raise ClipError("too_large", f"{int(stated):,} bytes; max_bytes is {config.max_bytes:,}")
    received = 0
    with path.open("wb") as stream:
        # What arrives, as it arrives: a full chunk of a server that trickles could take hours to gather.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            received += len(chunk)
            if received > config.max_bytes:
                raise ClipError("too_large", f"more than max_bytes = {config.max_bytes:,}")
            if time.monotonic() > deadline:
                raise ClipError("timeout", f"longer than max_seconds = {config.max_seconds:g}")
            stream.write(chunk)
