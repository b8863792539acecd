"""The page's sections about the run: what is there of each clip, what downloading costs, what the disk holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.formats.records import SPLITS
from models.rendering.markup import Html, element
from models.report.parts import NOTHING, row, section, table
from pipeline.stats.formatting import BASES, bytes_text, codes_text, expected_text, mark_text, state_text, times_text

if TYPE_CHECKING:
    from pipeline.stats.collect import Stats

MAX_HOSTS = 20


def modalities_section(stats: Stats) -> Html:
    """Return how many clips have which part, in the records and on the disk."""
    numbers = range(1, len(SPLITS) + 3)
    rows = [
        row((name, *(_count(count) for count in (*counts.values(), stats.files_found.get(name)))), numbers=numbers)
        for name, counts in stats.corpus.modalities.items()
    ]
    return section(
        "What the clips have",
        table(("In the record", "All", *SPLITS, "file found"), rows, numbers=numbers),
        note="Clips whose record names the part; file found: those of which Download has the file.",
    )


def outcomes_section(stats: Stats) -> Html:
    """Return how the clips fared in the stages so far."""
    numbers = (2, 3, 4)
    rows = [
        row(
            (
                outcome.stage,
                state_text(outcome),
                *(_count(outcome.counts.get(name)) for name in ("ok", "partial", "failed")),
                codes_text(outcome),
            ),
            numbers=numbers,
        )
        for outcome in stats.outcomes
    ]
    return section("Outcomes", table(("Stage", "State", "ok", "partial", "failed", "Codes"), rows, numbers=numbers))


def cost_section(stats: Stats) -> Html:
    """Return what the rest of the download takes."""
    cost = stats.cost
    if not any(kind.urls for kind in cost.kinds):
        return section("Download", element("p", "Every file lies beside the manifest: nothing comes from the network."))
    numbers = range(1, 6)
    kinds = [
        row(
            (
                kind.kind,
                *map(_count, (kind.urls, kind.fetched, kind.failed, kind.remaining)),
                bytes_text(kind.mean_bytes),
            ),
            numbers=numbers,
        )
        for kind in cost.kinds
    ]
    parts = [table(("Files", "URLs", "fetched", "failed", "to fetch", "mean size"), kinds, numbers=numbers)]
    if cost.remaining_urls:
        times = [row(pair, numbers=(1,)) for pair in times_text(cost)]
        hosts = [
            row((host.host or "(no valid address)", _count(host.urls)), numbers=(1,)) for host in cost.hosts[:MAX_HOSTS]
        ]
        tables = (table(("Bound", "Time"), times, numbers=(1,)), table(("Host", "to fetch"), hosts, numbers=(1,)))
        parts.append(element("div", *tables, class_="panels"))
    more = f" The {MAX_HOSTS} busiest of {len(cost.hosts):,} hosts." if len(cost.hosts) > MAX_HOSTS else ""
    return section(
        "Download", *parts, note=f"Every URL once. Expected: {expected_text(cost)}, {BASES[cost.basis]}.{more}"
    )


def disk_section(stats: Stats) -> Html:
    """Return what every folder below the root takes."""
    numbers = (3, 4, 5)
    rows = [
        row(
            (
                usage.stage,
                usage.fingerprint,
                mark_text(usage),
                _count(usage.files),
                bytes_text(usage.bytes),
                bytes_text(usage.own_bytes),
            ),
            numbers=numbers,
            ids=(1,),
        )
        for usage in stats.disk
    ]
    total = bytes_text(sum(usage.own_bytes for usage in stats.disk))
    return section(
        "Disk",
        table(("Stage", "Fingerprint", "", "Files", "Size", "of its own"), rows, numbers=numbers),
        note=f"{total} in all. A file that several fingerprints share by hard links is counted once, for the latest.",
    )


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"
