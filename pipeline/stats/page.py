"""The statistics of a corpus as one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.errors import SourceError
from features.base.files import publish_bytes
from models.rendering.html_page import picture_card, render_page, section, tile
from models.rendering.markup import Html, element
from pipeline.stats.corpus_sections import durations_section, labels_section, page_table, pairs_section, titles_section
from pipeline.stats.formatting import (
    BASES,
    Table,
    bytes_text,
    clips_text,
    disk_table,
    downloads_table,
    expected_text,
    hosts_table,
    hours_text,
    label_text,
    modalities_table,
    outcomes_table,
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
        _modalities_section(stats),
        section("Outcomes", page_table(outcomes_table(stats))),
        _cost_section(stats),
        _disk_section(stats),
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


def _modalities_section(stats: Stats) -> Html:
    note = "Clips whose record has the field; file found: clips whose file Download has stored."
    return section("Modalities", page_table(modalities_table(stats)), note=note)


def _cost_section(stats: Stats) -> Html:
    cost = stats.cost
    if not any(kind.urls for kind in cost.kinds):
        return section("Download", element("p", "All files are local: nothing is downloaded."))
    parts = [page_table(downloads_table(stats))]
    if cost.remaining_urls:
        times = Table(("limit", "time"), times_text(cost), (1,))
        tables = (page_table(times), page_table(hosts_table(stats, MAX_HOSTS)))
        parts.append(element("div", *tables, class_="panels"))
    more = f" The {MAX_HOSTS} busiest of {len(cost.hosts):,} hosts." if len(cost.hosts) > MAX_HOSTS else ""
    note = f"Each URL counts once. Expected: {expected_text(cost)}, {BASES[cost.basis]}.{more}"
    return section("Download", *parts, note=note)


def _disk_section(stats: Stats) -> Html:
    total = bytes_text(sum(usage.own_bytes for usage in stats.disk))
    note = f"{total} in total. A file that several fingerprints share by hard links counts for the latest only."
    return section("Disk", page_table(disk_table(stats), ids=(1,)), note=note)
