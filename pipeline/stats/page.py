"""The statistics of a corpus as one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.errors import SourceError
from features.base.files import publish_bytes
from features.formats.records import SPLITS
from models.rendering.html_page import NOTHING, picture_card, render_page, row, section, table, tile
from models.rendering.markup import Html, element
from pipeline.stats.corpus_sections import durations_section, labels_section, pairs_section, titles_section
from pipeline.stats.formatting import (
    BASES,
    bytes_text,
    clips_text,
    codes_text,
    expected_text,
    hours_text,
    label_text,
    latest_text,
    state_text,
    times_text,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.stats.collect import Stats
    from pipeline.stats.covers import ContactSheet

MAX_HOSTS = 20


def write_stats_page(path: Path, stats: Stats, sheet: ContactSheet | None) -> None:
    """Publish the page at ``path``.

    Raises:
        SourceError: ``path`` cannot be written.
    """
    advice = "name a file in a folder that exists"
    if not path.absolute().parent.is_dir():
        # Publishing would create the folder, also that of a mistyped path.
        raise SourceError(f"cannot write the page to {path}: no such folder; {advice}")
    try:
        publish_bytes(path, stats_page(stats, sheet).encode("utf-8"))
    except OSError as error:
        raise SourceError(f"cannot write the page to {path}: {error.strerror}; {advice}") from error


def stats_page(stats: Stats, sheet: ContactSheet | None) -> str:
    """Return the page as text; without ``sheet`` it has no pictures."""
    title = "Corpus statistics"
    sections = (
        element(
            "header",
            element("h1", title),
            element(
                "p", f"{stats.manifest}; fingerprint {stats.fingerprint} of Manifest in {stats.root}.", class_="soft"
            ),
        ),
        _tiles(stats),
        labels_section(stats, "categories"),
        Html() if sheet is None else _sheet_section(stats, sheet),
        labels_section(stats, "tags"),
        pairs_section(stats),
        durations_section(stats),
        titles_section(stats),
        modalities_section(stats),
        outcomes_section(stats),
        cost_section(stats),
        disk_section(stats),
    )
    return render_page(title, *sections)


def _tiles(stats: Stats) -> Html:
    corpus = stats.corpus
    rejected = ", ".join(f"{count:,} {code}" for code, count in stats.rejected.items())
    splits = ", ".join(f"{count:,} {name}" for name, count in corpus.splits.items())
    tiles = [
        ("Clips", f"{corpus.clips:,}", splits),
        ("Rows of the manifest", f"{stats.rows:,}", f"{stats.merged:,} merged by id"),
        ("Rows and labels left out", f"{sum(stats.rejected.values()):,}", rejected),
        ("Distinct titles", f"{corpus.titles.distinct:,}", f"on {clips_text(corpus.titles.present)}"),
    ]
    if corpus.durations.known:
        tiles.append(
            ("Stated duration", hours_text(corpus.durations), f"{clips_text(corpus.durations.missing)} without")
        )
    elif stats.decoded is not None and stats.decoded.durations.known:
        found = stats.decoded
        tiles.append(("Decoded duration", hours_text(found.durations), f"{found.shards} of {found.of_shards} shards"))
    if stats.cost.remaining_urls:
        tiles.append(("To download", bytes_text(stats.cost.expected_bytes), f"{stats.cost.remaining_urls:,} files"))
    return element("div", *(tile(*texts) for texts in tiles), class_="tiles")


def _sheet_section(stats: Stats, sheet: ContactSheet) -> Html:
    shown = f"{len(sheet.clips):,} of {sheet.num_clips:,} clips, evenly spread over the corpus"
    if stats.files_found or any(clip.picture for clip in sheet.clips):
        hint = " A clip without a cover shows a frame."
    else:
        hint = " There are no pictures before Download has run."
    cards = [picture_card(clip.clip_id, clip.title, clip.picture, f"Cover of {clip.clip_id}") for clip in sheet.clips]
    return section(
        f"Covers of {label_text(stats, sheet.category)}",
        element("div", *cards, class_="errors"),
        note=f"{shown}.{hint}",
    )


def modalities_section(stats: Stats) -> Html:
    """Return the number of clips with each field, in the records and on the disk."""
    numbers = range(1, len(SPLITS) + 3)
    rows = [
        row((name, *(_count(count) for count in (*counts.values(), stats.files_found.get(name)))), numbers=numbers)
        for name, counts in stats.corpus.modalities.items()
    ]
    return section(
        "Modalities",
        table(("In the record", "All", *SPLITS, "file found"), rows, numbers=numbers),
        note="Clips whose record has the field; file found: clips whose file Download has stored.",
    )


def outcomes_section(stats: Stats) -> Html:
    """Return the clips of each stage by outcome."""
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
    """Return the size and time of the remaining download."""
    cost = stats.cost
    if not any(kind.urls for kind in cost.kinds):
        return section("Download", element("p", "All files are local: nothing is downloaded."))
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
        tables = (table(("Limit", "Time"), times, numbers=(1,)), table(("Host", "to fetch"), hosts, numbers=(1,)))
        parts.append(element("div", *tables, class_="panels"))
    more = f" The {MAX_HOSTS} busiest of {len(cost.hosts):,} hosts." if len(cost.hosts) > MAX_HOSTS else ""
    return section(
        "Download", *parts, note=f"Each URL counts once. Expected: {expected_text(cost)}, {BASES[cost.basis]}.{more}"
    )


def disk_section(stats: Stats) -> Html:
    """Return the disk space of each folder below the root."""
    numbers = (3, 4, 5)
    rows = [
        row(
            (
                usage.stage,
                usage.fingerprint,
                latest_text(usage),
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
        table(("Stage", "Fingerprint", "", "Files", "Size", "Unshared"), rows, numbers=numbers),
        note=f"{total} in total. A file that several fingerprints share by hard links counts for the latest only.",
    )


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"
