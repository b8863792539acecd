"""The page's sections about durations and titles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.rendering.markup import Html, element
from models.rendering.svg_plots import histogram
from models.report.parts import row, section, table
from pipeline.stats.formatting import hours_text, number_text, share_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.statistics.counts import Bin, Durations
    from pipeline.stats.collect import Stats

MINUTE, HOUR = 60, 3600


def durations_section(stats: Stats) -> Html:
    """Return the histograms of the durations that are known: the manifest's, and what Decode found."""
    panels = []
    if stats.corpus.durations.known:
        panels.append(_durations("As the manifest states them", stats.corpus.durations))
    if stats.decoded is not None and stats.decoded.durations.known:
        origin = f"As decoded, {stats.decoded.shards} of {stats.decoded.of_shards} shards"
        panels.append(_durations(origin, stats.decoded.durations))
    if not panels:
        return section("Durations", element("p", "The manifest states none, and nothing is decoded yet."))
    return section(
        "Durations", element("div", *panels, class_="panels"), note="Clips by duration; the label is a bar's start."
    )


def _durations(origin: str, found: Durations) -> Html:
    numbers = (
        f"{found.known:,} known, {found.missing:,} not; {hours_text(found)}."
        f" Mean {number_text(found.mean_seconds, ' s')},"
        f" median {number_text(found.median_seconds, ' s')}, 95 % below {number_text(found.p95_seconds, ' s')},"
        f" longest {number_text(found.longest_seconds, ' s')}."
    )
    return element(
        "div", element("h3", origin), _histogram(origin, found.bins, _duration), element("p", numbers, class_="note")
    )


def titles_section(stats: Stats) -> Html:
    """Return the histogram of the titles' lengths, and in which scripts they are written."""
    titles = stats.corpus.titles
    scripts = [
        row((name, f"{count:,}", share_text(count, stats.corpus.clips)), numbers=(1, 2))
        for name, count in titles.scripts.items()
        if count
    ]
    numbers = (
        f"{titles.distinct:,} different titles on {titles.present:,} clips. Mean {number_text(titles.mean_characters)},"
        f" median {number_text(titles.median_characters)}, longest {number_text(titles.longest_characters)} characters."
    )
    lengths = element("div", _histogram("Length of the titles", titles.bins, lambda low: f"{low:g}"))
    return section(
        "Titles",
        element("div", lengths, table(("Script", "Clips", "Share"), scripts, numbers=(1, 2)), class_="panels"),
        note=f"Clips by characters of the title, 0 = no title; the label is a bar's start. {numbers}",
    )


def _histogram(title: str, bins: Sequence[Bin], name: Callable[[float], str]) -> Html:
    """Return the bins up to the last that holds a clip."""
    last = max((number for number, one in enumerate(bins) if one.clips), default=0)
    shown = bins[: last + 1]
    return histogram(title, [name(one.low) for one in shown], [one.clips for one in shown])


def _duration(seconds: float) -> str:
    if seconds >= HOUR:
        return f"{seconds / HOUR:g} h"
    return f"{seconds / MINUTE:g} m" if seconds > MINUTE else f"{seconds:g}"
