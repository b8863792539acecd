"""Settings of HTTP requests: the limits of one file, and the rate limits of one host."""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.settings import setting

_ABOVE_ZERO = (
    "max_bytes", "timeout_seconds", "max_seconds", "max_attempts", "connections_per_host", "speed_window_seconds",
)  # fmt: skip
_ZERO_OR_MORE = ("max_redirects", "requests_per_second_per_host", "max_retry_after_seconds", "min_bytes_per_second")


@dataclass(frozen=True)
class HttpConfig:
    """Limits of one fetch.

    Attributes:
        max_bytes: A larger file is refused, local ones too.
        timeout_seconds: For the connection, for its TLS handshake, for the headers of the answer, and for each
            wait for data.
        max_seconds: For all requests of one file together; waiting for a turn does not count.
        min_bytes_per_second: A body that comes slower than this for ``speed_window_seconds`` is given up; 0 = any
            speed will do.
        speed_window_seconds: Time over which the speed is measured.
        max_attempts: Tries of a file whose failure may pass: a connection error or 408, 425, 429, 5xx.
        max_redirects: Redirects followed for one file.
        connections_per_host: Requests under way at one host at a time, whatever the number of workers.
        requests_per_second_per_host: Requests begun at one host in a second; 0 = no limit.
        max_retry_after_seconds: Longest pause that a server's ``Retry-After`` can ask for; when it asks for more, the
            host is left alone and its clips fail with ``retry_after_too_long``.
        allow_private_addresses: Fetch from loopback, link-local and private addresses too.
        user_agent: What the requests call themselves; name a way to reach you, so that a site can complain.
    """

    max_bytes: int = 2_000_000_000
    timeout_seconds: float = setting(20.0, identity=False)
    max_seconds: float = setting(600.0, identity=False)
    min_bytes_per_second: int = setting(1000, identity=False)
    speed_window_seconds: float = setting(30.0, identity=False)
    max_attempts: int = setting(4, identity=False)
    max_redirects: int = 5
    connections_per_host: int = setting(4, identity=False)
    requests_per_second_per_host: float = setting(10.0, identity=False)
    max_retry_after_seconds: float = setting(60.0, identity=False)
    allow_private_addresses: bool = False
    user_agent: str = setting("short-video-pipeline/0.1", identity=False)

    def __post_init__(self) -> None:
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise SettingError(f"{name} is {getattr(self, name)}: give a number above 0")
        for name in _ZERO_OR_MORE:
            if not getattr(self, name) >= 0:
                raise SettingError(f"{name} is {getattr(self, name)}: give 0 or more")
        if not (self.user_agent.isascii() and self.user_agent.isprintable()):
            raise SettingError(f"user_agent is {self.user_agent!r}: give one line of printable ASCII")
