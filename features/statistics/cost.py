"""Estimate of the remaining download: files, bytes and time."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.statistics.columns import MEDIA

if TYPE_CHECKING:
    from features.statistics.columns import Columns, Int64
    from features.statistics.media import MediaColumns

# The published Xinpianchang data set: 865 GB for 562,342 clips, covers included.
PUBLISHED_BYTES_PER_CLIP = 865e9 / 562_342
MIN_MEASURED_FILES = 30  # the interval assumes a normal mean, which fewer files do not justify
NORMAL_QUANTILE = 1.96  # two-sided 95 %
RATES_BYTES_PER_SECOND = (1e6, 10e6, 100e6)


@dataclass(frozen=True)
class KindCost:
    """The downloads of one kind of media.

    Attributes:
        kind: ``video`` or ``cover``.
        urls: Distinct URLs in the records.
        fetched: Those with a stored file.
        failed: Those that were tried without success.
        remaining: Those not tried yet.
        mean_bytes: Of the fetched files, None without any.
        low_bytes: Lower end of the 95 % interval of the mean, None below ``MIN_MEASURED_FILES`` files.
        high_bytes: Upper end.
    """

    kind: str
    urls: int
    fetched: int
    failed: int
    remaining: int
    mean_bytes: float | None
    low_bytes: float | None
    high_bytes: float | None


@dataclass(frozen=True)
class HostLoad:
    """One host and its remaining URLs."""

    host: str
    urls: int


@dataclass(frozen=True)
class RateTime:
    """The time for the remaining bytes at one rate."""

    bytes_per_second: float
    seconds: float


@dataclass(frozen=True)
class DownloadCost:
    """The remaining download.

    Attributes:
        basis: Source of the mean file size: ``measured`` (the files fetched so far), ``published`` (the figure of
            the Xinpianchang data set), ``nothing remains``.
        kinds: Videos and covers.
        hosts: Hosts with remaining URLs, the busiest first.
        remaining_urls: URLs not tried yet.
        expected_bytes: Their expected size.
        low_bytes: Lower end of a 95 % interval, None with too few measured files.
        high_bytes: Upper end.
        times: Time for ``expected_bytes`` at some rates.
        requests_per_second: Request limit of one host, 0 = no limit.
        polite_seconds: Time for the URLs of the busiest host at that limit, 0 without one.
    """

    basis: str
    kinds: tuple[KindCost, ...]
    hosts: tuple[HostLoad, ...]
    remaining_urls: int
    expected_bytes: float
    low_bytes: float | None
    high_bytes: float | None
    times: tuple[RateTime, ...]
    requests_per_second: float
    polite_seconds: float


def download_cost(columns: Columns, media: MediaColumns, requests_per_second: float) -> DownloadCost:
    """Return the estimate of the remaining download; each URL counts once, local files cost nothing.

    A URL that failed is not counted as remaining. The bytes are the mean of the fetched files of the same
    kind times the remaining ones; before the first video is fetched, the published figure is used for each clip
    and its cover. The intervals of the kinds are combined as independent. Waiting, refusals and retries take
    additional time.
    """
    kinds, hosts = [], Counter[str]()
    for name in MEDIA:
        kind, digests, remaining = _kind_cost(name, columns, media)
        kinds.append(kind)
        hosts.update(_hosts(name, columns, digests[remaining]))
    expected, margin, basis = _bytes(kinds)
    return DownloadCost(
        basis=basis,
        kinds=tuple(kinds),
        hosts=tuple(HostLoad(host, urls) for host, urls in sorted(hosts.items(), key=lambda row: (-row[1], row[0]))),
        remaining_urls=sum(kind.remaining for kind in kinds),
        expected_bytes=expected,
        low_bytes=None if margin is None else max(0.0, expected - margin),
        high_bytes=None if margin is None else expected + margin,
        times=tuple(RateTime(rate, expected / rate) for rate in RATES_BYTES_PER_SECOND),
        requests_per_second=requests_per_second,
        polite_seconds=max(hosts.values(), default=0) / requests_per_second if requests_per_second else 0.0,
    )


def _kind_cost(name: str, columns: Columns, media: MediaColumns) -> tuple[KindCost, Int64, np.ndarray]:
    """Return the cost of one kind, the digests ``(U,)`` of its distinct URLs, and which of them remain ``(U,)``."""
    is_url = columns.urls[name].host >= 0
    digests, position = np.unique(columns.urls[name].digest[is_url], return_inverse=True)
    sizes = np.full(len(digests), -1, np.int64)
    np.maximum.at(sizes, position, media.bytes[name][is_url])
    tried = np.zeros(len(digests), np.bool_)
    tried[position[media.tried[is_url]]] = True
    fetched = sizes >= 0
    remaining = ~tried
    mean, low, high = _interval(sizes[fetched])
    kind = KindCost(
        kind=name,
        urls=len(digests),
        fetched=int(fetched.sum()),
        failed=int((tried & ~fetched).sum()),
        remaining=int(remaining.sum()),
        mean_bytes=mean,
        low_bytes=low,
        high_bytes=high,
    )
    return kind, digests, remaining


def _interval(sizes: Int64) -> tuple[float | None, float | None, float | None]:
    """Return the mean and the ends of its 95 % interval, the normal approximation."""
    if not len(sizes):
        return None, None, None
    mean = float(sizes.mean())
    if len(sizes) < MIN_MEASURED_FILES:
        return mean, None, None
    margin = NORMAL_QUANTILE * float(sizes.std(ddof=1)) / math.sqrt(len(sizes))
    return mean, max(0.0, mean - margin), mean + margin


def _hosts(name: str, columns: Columns, remaining: Int64) -> dict[str, int]:
    """Return the remaining URLs by host."""
    digests, first = np.unique(columns.urls[name].digest, return_index=True)
    hosts = columns.urls[name].host[first[np.isin(digests, remaining, assume_unique=True)]]
    counts = np.bincount(hosts, minlength=len(columns.host_names)).tolist()
    return {host: count for host, count in zip(columns.host_names, counts, strict=True) if count}


def _bytes(kinds: list[KindCost]) -> tuple[float, float | None, str]:
    """Return the expected bytes, half the width of their interval, and the basis."""
    video = kinds[MEDIA.index("video")]
    if not any(kind.remaining for kind in kinds):
        return 0.0, 0.0, "nothing remains"
    if video.mean_bytes is None:
        return PUBLISHED_BYTES_PER_CLIP * video.remaining, None, "published"
    expected = sum(kind.remaining * (kind.mean_bytes or 0.0) for kind in kinds)
    margins = [
        kind.remaining * (kind.high_bytes - kind.mean_bytes)
        for kind in kinds
        if kind.high_bytes is not None and kind.mean_bytes is not None
    ]
    is_known = all(kind.high_bytes is not None for kind in kinds if kind.remaining)
    return expected, math.hypot(*margins) if is_known else None, "measured"
