"""The page's sections about labels: how many clips carry them, and which stand together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.formats.records import SPLITS
from models.rendering.markup import Html, element
from models.rendering.svg_plots import count_map
from models.report.parts import row, section, table
from pipeline.stats.formatting import label_text, share_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.statistics.counts import LabelCount
    from pipeline.stats.collect import Stats

MAX_OPEN_ROWS = 40  # further labels are folded away
MAX_ROWS = 1000
SHOWN_TAGS = 24  # of a heat map; more columns do not fit the page's width


def labels_section(stats: Stats, kind: str) -> Html:
    """Return the clips of every label of a kind, ``categories`` or ``tags``, as bars; rare ones are folded away."""
    corpus = stats.corpus
    if kind == "categories":
        labels, note = corpus.categories, f"{corpus.without_category:,} clips are of unknown category."
    else:
        labels = corpus.tags
        note = f"{corpus.untagged:,} clips have no tag, of {corpus.tags_unknown:,} the tags are not known."
    if stats.labels_left_out[kind]:
        note += f" {len(stats.labels_left_out[kind]):,} labels are on too few clips for the label space."
    if not labels:
        return section(kind.capitalize(), element("p", note))
    parts = [_bars(stats, labels[:MAX_OPEN_ROWS], labels[0].clips)]
    folded = labels[MAX_OPEN_ROWS:MAX_ROWS]
    if folded:
        cut = f", {len(labels) - MAX_ROWS:,} rarer ones are in the JSON only" if len(labels) > MAX_ROWS else ""
        summary = element("summary", f"{len(folded):,} more{cut}")
        parts.append(element("details", summary, _bars(stats, folded, labels[0].clips)))
    return section(f"{len(labels):,} {kind}", *parts, note=note)


def _bars(stats: Stats, labels: Sequence[LabelCount], most: int) -> Html:
    headers = ("Label", "Clips", "", "Share", *SPLITS)
    return table(
        headers, [_bar(stats, label, most) for label in labels], numbers=(1, *range(3, len(headers))), class_="bars"
    )


def _bar(stats: Stats, label: LabelCount, most: int) -> Html:
    fill = element("i", class_="fill", style=f"width:{label.clips / most:.1%}")
    numbers = (share_text(label.clips, stats.corpus.clips), *(f"{count:,}" for count in label.splits.values()))
    return element(
        "tr",
        element("td", label_text(stats, label.name)),
        element("td", f"{label.clips:,}", class_="number"),
        element("td", element("div", fill, class_="track"), class_="bar"),
        *(element("td", number, class_="number") for number in numbers),
    )


def together_section(stats: Stats) -> Html:
    """Return which labels stand together, as heat maps and a table; nothing for a corpus without tags."""
    together = stats.together
    if not together.tags.rows:
        return Html()
    clips = {label.name: label.clips for label in (*stats.corpus.tags, *stats.corpus.categories)}
    shown = together.tags.columns[:SHOWN_TAGS]
    size = len(shown)
    # A tag with itself says nothing: the diagonal stays blank.
    pairs = [
        [0 if i == j else count for j, count in enumerate(line[:size])]
        for i, line in enumerate(together.tags.counts[:size])
    ]
    parts = [
        element("h3", "Tags with each other"),
        element(
            "div", count_map("Tags with each other", pairs, shown, shown, [clips[n] for n in shown]), class_="wide"
        ),
    ]
    categories = {label.name: label.clips for label in stats.corpus.categories}
    rows = together.categories.rows
    if rows:
        counts = [line[:size] for line in together.categories.counts]
        totals = [categories[name] for name in rows]
        names = [label_text(stats, name) for name in rows]
        picture = count_map("Categories and tags", counts, names, shown, totals)
        parts += [element("h3", "Categories and their tags"), element("div", picture, class_="wide")]
    if together.pairs:
        lines = [
            row((pair.first, pair.second, f"{pair.clips:,}", f"{pair.lift:.2f}"), numbers=(2, 3))
            for pair in together.pairs
        ]
        parts += [
            element("h3", "The most frequent pairs"),
            table(("Tag", "and", "Clips", "Lift"), lines, numbers=(2, 3)),
        ]
    return section(
        "Labels together",
        *parts,
        note="A cell counts the clips with both; its shade is their share of the row's clips. Lift is how many times"
        f" more often than by chance two tags meet. The most frequent labels only; pairs among"
        f" {together.num_paired_tags:,} tags.",
    )
