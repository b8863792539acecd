"""Numbers and tables of the statistics, the same in the terminal and on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from features.base.outcomes import STATUS_NUMBERS
from features.formats.records import SPLITS
from models.rendering.html_page import NOTHING, seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.statistics.cost import DownloadCost
    from features.statistics.counts import Bin, Durations
    from pipeline.stats.collect import Stats

UNITS = ("bytes", "kB", "MB", "GB", "TB")
BASES = {
    "measured": "mean size of the files fetched so far; from 30 files on with a 95 % interval, as for a random sample",
    "published": "nothing is fetched yet: 1.54 MB a clip, from the published 865 GB for 562,342 clips",
    "nothing remains": "all URLs are fetched or failed",
}


class Table(NamedTuple):
    """Headers, rows of cells, and the columns that are numbers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    numbers: Sequence[int]


def bytes_text(size: float | None) -> str:
    """Return a size in decimal units with three digits: 999 bytes, 1.54 MB, 865 GB."""
    if size is None:
        return NOTHING
    power = 0
    # Three digits are shown: 999.5 and more would become 1,000.
    while size >= 999.5 and power < len(UNITS) - 1:  # noqa: PLR2004
        size, power = size / 1000, power + 1
    number = f"{size:.0f}" if power == 0 else f"{size:.3g}" if size < 999.5 else f"{size:,.0f}"  # noqa: PLR2004
    return f"{number} {UNITS[power]}"


def time_text(seconds: float) -> str:
    """Return a duration as ``seconds_text`` does, in days from two days on."""
    days = seconds / 86_400
    return f"{days:,.1f} days" if days >= 2 else seconds_text(seconds)  # noqa: PLR2004


def number_text(value: float | None, unit: str = "") -> str:
    """Return a number with at most one decimal, ``–`` for None."""
    return NOTHING if value is None else f"{value:,.1f}".removesuffix(".0") + unit


def hours_text(durations: Durations) -> str:
    """Return the sum of the known durations."""
    hours = durations.total_hours
    if hours < 1:
        return f"{hours * 60:.1f} min"
    return f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"  # noqa: PLR2004


def clips_text(count: int) -> str:
    """Return a number of clips."""
    return "1 clip" if count == 1 else f"{count:,} clips"


def share_text(part: float, whole: float) -> str:
    """Return a fraction in per cent, empty for a whole of 0."""
    return f"{part / whole:.1%}" if whole else ""


def bin_text(one: Bin) -> str:
    """Return the range of a bin of whole numbers or seconds."""
    return f"{one.low:g} and more" if one.high is None else f"{one.low:g} to < {one.high:g}"


def label_text(stats: Stats, name: str) -> str:
    """Return a label, with its name in the other language where it is known."""
    other = stats.other_names.get(name)
    return f"{name} ({other})" if other else name


def expected_text(cost: DownloadCost) -> str:
    """Return the remaining bytes with their interval."""
    if cost.low_bytes is None or not cost.remaining_urls:
        return bytes_text(cost.expected_bytes)
    return f"{bytes_text(cost.expected_bytes)} ({bytes_text(cost.low_bytes)} to {bytes_text(cost.high_bytes)})"


def times_text(cost: DownloadCost) -> list[tuple[str, str]]:
    """Return (limit, time) rows: some byte rates, and the request rate of one host."""
    rows = [(f"at {bytes_text(one.bytes_per_second)}/s", time_text(one.seconds)) for one in cost.times]
    if cost.requests_per_second:
        limit = f"at {cost.requests_per_second:g} requests a second to the busiest host"
        rows.append((limit, time_text(cost.polite_seconds)))
    return rows


def pairs_table(stats: Stats, max_rows: int) -> Table:
    """Return the most frequent pairs of tags."""
    pairs = stats.together.pairs[:max_rows]
    rows = [(pair.first, pair.second, pair.clips, f"{pair.lift:.2f}") for pair in pairs]
    return Table(("tag", "and", "clips", "lift"), rows, (2, 3))


def modalities_table(stats: Stats) -> Table:
    """Return the number of clips with each field, in the records and on the disk."""
    headers = ("in the record", "all", *SPLITS, "file found")
    counted = stats.corpus.modalities.items()
    rows = [(name, *counts.values(), stats.files_found.get(name)) for name, counts in counted]
    return Table(headers, rows, range(1, len(headers)))


def outcomes_table(stats: Stats) -> Table:
    """Return the clips of each stage by outcome, and the codes, the most frequent first."""
    rows = []
    for one in stats.outcomes:
        codes = ", ".join(f"{count:,} {code}" for code, count in one.codes.items())
        state = "all shards" if one.shards == one.of_shards else f"{one.shards} of {one.of_shards} shards"
        counts = [one.counts.get(status) for status in STATUS_NUMBERS]
        rows.append((one.stage, state if one.shards else "not run", *counts, codes))
    return Table(("stage", "state", *STATUS_NUMBERS, "codes"), rows, (2, 3, 4))


def downloads_table(stats: Stats) -> Table:
    """Return the URLs of each kind of media by state."""
    rows = [
        (kind.kind, kind.urls, kind.fetched, kind.failed, kind.remaining, bytes_text(kind.mean_bytes))
        for kind in stats.cost.kinds
    ]
    return Table(("files", "URLs", "fetched", "failed", "to fetch", "mean size"), rows, range(1, 6))


def hosts_table(stats: Stats, max_rows: int) -> Table:
    """Return the remaining URLs of the busiest hosts."""
    rows = [(host.host or "(no valid address)", host.urls) for host in stats.cost.hosts[:max_rows]]
    return Table(("host", "to fetch"), rows, (1,))


def disk_table(stats: Stats) -> Table:
    """Return the disk space of each folder below the root."""
    rows = [
        (
            usage.stage,
            usage.fingerprint,
            "latest" if usage.is_latest else "",
            usage.files,
            bytes_text(usage.bytes),
            bytes_text(usage.own_bytes),
        )
        for usage in stats.disk
    ]
    return Table(("stage", "fingerprint", "", "files", "size", "unshared"), rows, (3, 4, 5))
