"""Fetches of single URLs from the loopback server, without the pauses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import ClipError
from features.downloads.fetching import Fetcher
from features.downloads.media_kinds import VIDEO_KINDS
from features.downloads.media_spec import MediaSpec
from features.downloads.store import MediaStore
from features.http.client import HttpClient
from features.http.config import HttpConfig
from features.http.rate_limit import HostLimiter, run_to_end

if TYPE_CHECKING:
    from pathlib import Path

    from features.downloads.download_rows import MediaFile

# Enough of a file to be taken for what it claims to be, and long enough to be gone on with.
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 1000


@dataclass
class Fetches:
    """What fetches into a store below a folder.

    Attributes:
        folder: Of the store.
        longest_pauses: Upper limits of the pauses that were drawn, seconds.
        num_bytes: Bytes that arrived.
    """

    folder: Path
    longest_pauses: list[float] = field(default_factory=list)
    num_bytes: int = 0

    def _count(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes

    def get(self, url: str, checksum: str = "", **values: Any) -> MediaFile:  # noqa: ANN401 - of any type
        config = HttpConfig(
            **{"allow_private_addresses": True, "requests_per_second_per_host": 0, "timeout_seconds": 5.0, **values}
        )
        limiter = HostLimiter(
            config.connections_per_host, config.requests_per_second_per_host, config.max_retry_after_seconds
        )
        client = HttpClient(config)
        try:
            with MediaStore(self.folder) as store:
                fetcher = Fetcher(config, store, client, limiter, self._count)
                spec = MediaSpec(VIDEO_KINDS, "not_a_video", config.max_bytes, checksum)
                return run_to_end(fetcher.fetch(url, spec), limiter)
        finally:
            client.close()

    def body(self, url: str, checksum: str = "", **values: Any) -> bytes:  # noqa: ANN401 - of any type
        return (self.folder / self.get(url, checksum, **values).path).read_bytes()

    def code(self, url: str, checksum: str = "", **values: Any) -> str:  # noqa: ANN401 - of any type
        with pytest.raises(ClipError) as caught:
            self.get(url, checksum, **values)
        return caught.value.code

    def partials(self) -> list[Path]:
        return sorted((self.folder / ".partial").iterdir())
