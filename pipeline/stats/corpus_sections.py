"""Sections of the page about the corpus: labels, pairs of labels, durations, titles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.formats.records import SPLITS
from models.rendering.html_page import bar_row, section, table
from models.rendering.markup import Html, element
from models.rendering.plots import count_matrix, histogram
from pipeline.stats.formatting import clips_text, hours_text, label_text, number_text, pairs_table, share_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.statistics.counts import Bin, Durations, LabelCount
    from pipeline.stats.collect import Stats
    from pipeline.stats.formatting import Table

MAX_OPEN_ROWS = 40  # further labels are collapsed
MAX_ROWS = 1000
MINUTE, HOUR = 60, 3600
SHOWN_TAGS = 24  # more columns do not fit the width of the page


def labels_section(stats: Stats, kind: str) -> Html:
    """Return the clips of each label of a kind, ``categories`` or ``tags``, as bars; rare labels are collapsed."""
    corpus = stats.corpus
    if kind == "categories":
        labels, note = corpus.categories, f"{clips_text(corpus.without_category)} of unknown category."
    else:
        labels = corpus.tags
        note = f"{clips_text(corpus.untagged)} without tags, {clips_text(corpus.tags_unknown)} of unknown tags."
    if stats.labels_left_out[kind]:
        note += f" {len(stats.labels_left_out[kind]):,} labels have too few clips for the label space."
    if not labels:
        return section(kind.capitalize(), element("p", note))
    parts = [_bars(stats, labels[:MAX_OPEN_ROWS], labels[0].clips)]
    collapsed = labels[MAX_OPEN_ROWS:MAX_ROWS]
    if collapsed:
        cut = f", {len(labels) - MAX_ROWS:,} rarer ones are in the JSON only" if len(labels) > MAX_ROWS else ""
        summary = element("summary", f"{len(collapsed):,} more{cut}")
        parts.append(element("details", summary, _bars(stats, collapsed, labels[0].clips)))
    return section(f"{len(labels):,} {kind}", *parts, note=note)


def _bars(stats: Stats, labels: Sequence[LabelCount], most: int) -> Html:
    headers = ("Label", "Clips", "", "Share", *SPLITS)
    return table(
        headers, [_bar(stats, label, most) for label in labels], numbers=(1, *range(3, len(headers))), class_="bars"
    )


def _bar(stats: Stats, label: LabelCount, most: int) -> Html:
    fill = element("i", class_="fill", style=f"width:{label.clips / most:.1%}")
    numbers = (share_text(label.clips, stats.corpus.clips), *(f"{count:,}" for count in label.splits.values()))
    return bar_row(label_text(stats, label.name), f"{label.clips:,}", (fill,), numbers)


def pairs_section(stats: Stats) -> Html:
    """Return the co-occurrence of labels, as matrices and a table; nothing for a corpus without tags."""
    together = stats.together
    if not together.tags.rows:
        return Html()
    clips = {label.name: label.clips for label in (*stats.corpus.tags, *stats.corpus.categories)}
    shown = together.tags.columns[:SHOWN_TAGS]
    size = len(shown)
    # The count of a tag with itself is no co-occurrence: the diagonal stays blank.
    pairs = [
        [0 if i == j else count for j, count in enumerate(line[:size])]
        for i, line in enumerate(together.tags.counts[:size])
    ]
    parts = [
        element("h3", "Tags with tags"),
        element("div", count_matrix("Tags with tags", pairs, (shown, shown), [clips[n] for n in shown]), class_="wide"),
    ]
    categories = {label.name: label.clips for label in stats.corpus.categories}
    rows = together.categories.rows
    if rows:
        counts = [line[:size] for line in together.categories.counts]
        totals = [categories[name] for name in rows]
        names = [label_text(stats, name) for name in rows]
        picture = count_matrix("Categories with tags", counts, (names, shown), totals)
        parts += [element("h3", "Categories with tags"), element("div", picture, class_="wide")]
    if together.pairs:
        parts += [element("h3", "Most frequent pairs"), page_table(pairs_table(stats, MAX_ROWS))]
    return section(
        "Label co-occurrence",
        *parts,
        note="A cell counts the clips with both labels; its shade is their fraction of the row's clips. Lift is the"
        " observed count over the count expected by chance. Only the most frequent labels are shown; pairs are counted"
        f" among {together.num_paired_tags:,} tags.",
    )


def durations_section(stats: Stats) -> Html:
    """Return the histograms of the known durations: those of the manifest, and those that Decode read."""
    panels = []
    if stats.corpus.durations.known:
        panels.append(_durations("From the manifest", stats.corpus.durations))
    if stats.decoded is not None and stats.decoded.durations.known:
        origin = f"From decoded files, {stats.decoded.shards} of {stats.decoded.of_shards} shards"
        panels.append(_durations(origin, stats.decoded.durations))
    if not panels:
        return section("Durations", element("p", "None in the manifest, and nothing is decoded yet."))
    return section(
        "Durations",
        element("div", *panels, class_="panels"),
        note="Clips by duration; a label is the lower end of its bar.",
    )


def _durations(origin: str, found: Durations) -> Html:
    numbers = (
        f"{found.known:,} known, {found.missing:,} unknown; {hours_text(found)}."
        f" Mean {number_text(found.mean_seconds, ' s')},"
        f" median {number_text(found.median_seconds, ' s')}, 95 % below {number_text(found.p95_seconds, ' s')},"
        f" longest {number_text(found.longest_seconds, ' s')}."
    )
    return element(
        "div", element("h3", origin), _histogram(origin, found.bins, _duration), element("p", numbers, class_="note")
    )


def titles_section(stats: Stats) -> Html:
    """Return the histogram of the lengths of the titles, and a table of their scripts."""
    titles = stats.corpus.titles
    total = stats.corpus.clips
    scripts = [(name, count, share_text(count, total)) for name, count in titles.scripts.items() if count]
    numbers = (
        f"{titles.distinct:,} distinct titles on {titles.present:,} clips. Mean {number_text(titles.mean_characters)},"
        f" median {number_text(titles.median_characters)}, longest {number_text(titles.longest_characters)} characters."
    )
    lengths = element("div", _histogram("Length of the titles", titles.bins, lambda low: f"{low:g}"))
    return section(
        "Titles",
        element("div", lengths, table(("Script", "Clips", "Share"), scripts, numbers=(1, 2)), class_="panels"),
        note=f"Clips by characters of the title, 0 = no title; a label is the lower end of its bar. {numbers}",
    )


def _histogram(title: str, bins: Sequence[Bin], name: Callable[[float], str]) -> Html:
    """Return a histogram of the bins up to the last one with a clip."""
    last = max((number for number, one in enumerate(bins) if one.clips), default=0)
    shown = bins[: last + 1]
    return histogram(title, [name(one.low) for one in shown], [one.clips for one in shown])


def _duration(seconds: float) -> str:
    if seconds >= HOUR:
        return f"{seconds / HOUR:g} h"
    return f"{seconds / MINUTE:g} m" if seconds > MINUTE else f"{seconds:g}"


def page_table(found: Table, *, ids: Sequence[int] = ()) -> Html:
    """Return a table of the statistics for the page."""
    headers = [header[:1].upper() + header[1:] for header in found.headers]
    return table(headers, found.rows, numbers=found.numbers, ids=ids)
