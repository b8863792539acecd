"""The statistics of a corpus as one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from features.base.errors import SourceError
from features.base.files import publish_bytes
from models.rendering.markup import Html, element, join
from models.report.page import CONTENT_POLICY
from models.report.parts import section
from models.report.style import STYLE
from pipeline.stats.formatting import bytes_text, hours_text, label_text
from pipeline.stats.histograms import durations_section, titles_section
from pipeline.stats.labels import labels_section, together_section
from pipeline.stats.stages import cost_section, disk_section, modalities_section, outcomes_section

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.stats.collect import Stats
    from pipeline.stats.covers import ContactSheet, SheetClip


def write_stats_page(path: Path, stats: Stats, sheet: ContactSheet | None) -> None:
    """Write the page to ``path``, whole or not at all.

    Raises:
        SourceError: ``path`` cannot be written.
    """
    try:
        publish_bytes(path, stats_page(stats, sheet).encode("utf-8"))
    except OSError as error:
        raise SourceError(
            f"cannot write the page to {path}: {error.strerror}; name a file in a folder that exists"
        ) from error


def stats_page(stats: Stats, sheet: ContactSheet | None) -> str:
    """Return the page as text; without ``sheet`` it has no pictures."""
    title = "What the corpus is made of"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    sections = (
        element(
            "header",
            element("h1", title),
            element("p", f"{stats.manifest}; Manifest {stats.fingerprint} below {stats.root}.", class_="soft"),
        ),
        _tiles(stats),
        labels_section(stats, "categories"),
        Html() if sheet is None else _sheet_section(stats, sheet),
        labels_section(stats, "tags"),
        together_section(stats),
        durations_section(stats),
        titles_section(stats),
        modalities_section(stats),
        outcomes_section(stats),
        cost_section(stats),
        disk_section(stats),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', element('main', join(sections))), lang='en')}\n"


def _tiles(stats: Stats) -> Html:
    corpus = stats.corpus
    rejected = ", ".join(f"{count:,} {code}" for code, count in stats.rejected.items())
    splits = ", ".join(f"{count:,} {name}" for name, count in corpus.splits.items())
    tiles = [
        ("Clips", f"{corpus.clips:,}", splits),
        ("Rows of the manifest", f"{stats.rows:,}", f"{stats.merged:,} merged by id"),
        ("Rows and labels left out", f"{sum(stats.rejected.values()):,}", rejected),
        ("Different titles", f"{corpus.titles.distinct:,}", f"on {corpus.titles.present:,} clips"),
    ]
    if corpus.durations.known:
        tiles.append(
            ("Stated duration", hours_text(corpus.durations), f"{corpus.durations.missing:,} clips state none")
        )
    elif stats.decoded is not None and stats.decoded.durations.known:
        found = stats.decoded
        tiles.append(("Decoded duration", hours_text(found.durations), f"{found.shards} of {found.of_shards} shards"))
    if stats.cost.remaining_urls:
        tiles.append(("To download", bytes_text(stats.cost.expected_bytes), f"{stats.cost.remaining_urls:,} files"))
    return element("div", *(_tile(*tile) for tile in tiles), class_="tiles")


def _tile(name: str, number: str, note: str) -> Html:
    return element(
        "div", element("span", name, class_="soft"), element("b", number), element("span", note), class_="tile"
    )


def _sheet_section(stats: Stats, sheet: ContactSheet) -> Html:
    shown = f"{len(sheet.clips):,} of {sheet.num_clips:,} clips, evenly spread over the corpus"
    if stats.files_found or any(clip.picture for clip in sheet.clips):
        hint = " A clip without a cover shows its first frame."
    else:
        hint = " There are no pictures before Download has run."
    return section(
        f"Covers of {label_text(stats, sheet.category)}",
        element("div", *map(_figure, sheet.clips), class_="errors"),
        note=f"{shown}.{hint}",
    )


def _figure(clip: SheetClip) -> Html:
    if clip.picture is None:
        picture = element("div", "no picture", class_="blank")
    else:
        encoded = base64.b64encode(clip.picture).decode("ascii")
        picture = element("img", src=f"data:image/jpeg;base64,{encoded}", alt=f"Cover of {clip.clip_id}")
    heading = element("div", clip.title or "no title", class_="heading" if clip.title else "soft")
    return element("figure", picture, element("figcaption", heading, element("div", clip.clip_id, class_="id soft")))
