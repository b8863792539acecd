"""Settings of HTTP requests: the limits of one file, and the rate limits of one host."""

from __future__ import annotations

from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.settings import at_least, check_positive, check_settings, setting


def _check_header(name: str, value: str) -> None:
    if not (value.isascii() and value.isprintable()):
        raise SettingError(f"{name} is {value!r}: give one line of printable ASCII")


@dataclass(frozen=True)
class HttpConfig:
    """Limits of one fetch.

    Attributes:
        max_bytes: A larger file is refused, local ones too.
        timeout_seconds: Limit of the connection, of its TLS handshake, of the response headers, and of each wait for
            data.
        max_seconds: Limit of all requests of one file together; waiting for the rate limit does not count.
        min_bytes_per_second: The request of a body that stays slower than this for ``speed_window_seconds`` fails; 0 =
            any speed.
        speed_window_seconds: Time over which the speed is measured.
        max_attempts: Attempts at a file with a transient failure: a connection error or 408, 425, 429, 5xx.
        max_redirects: Redirects followed for one file.
        connections_per_host: Concurrent requests to one host, whatever the number of workers.
        requests_per_second_per_host: Requests started per second at one host; 0 = no limit.
        max_retry_after_seconds: Longest pause that is accepted from a server's ``Retry-After``; after a longer one no
            request is sent to the host, and its clips fail with ``retry_after_too_long``.
        allow_private_addresses: Fetch from loopback, link-local and private addresses too.
        user_agent: User-Agent header of the requests; include a contact for the owners of the sites.
    """

    max_bytes: int = setting(2_000_000_000, check=check_positive)
    timeout_seconds: float = setting(20.0, identity=False, check=check_positive)
    max_seconds: float = setting(600.0, identity=False, check=check_positive)
    min_bytes_per_second: int = setting(1000, identity=False, check=at_least(0))
    speed_window_seconds: float = setting(30.0, identity=False, check=check_positive)
    max_attempts: int = setting(4, identity=False, check=check_positive)
    max_redirects: int = setting(5, check=at_least(0))
    connections_per_host: int = setting(4, identity=False, check=check_positive)
    requests_per_second_per_host: float = setting(10.0, identity=False, check=at_least(0))
    max_retry_after_seconds: float = setting(60.0, identity=False, check=at_least(0))
    allow_private_addresses: bool = False
    user_agent: str = setting("short-video-pipeline/0.1", identity=False, check=_check_header)

    def __post_init__(self) -> None:
        check_settings(self)
