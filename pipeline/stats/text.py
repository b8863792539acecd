"""The statistics of a corpus as tables for a terminal of 100 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.formats.records import SPLITS
from models.rendering.terminal_table import render_table
from pipeline.stats.formatting import (
    BASES,
    Table,
    bin_text,
    bytes_text,
    clips_text,
    disk_table,
    downloads_table,
    expected_text,
    hosts_table,
    hours_text,
    label_text,
    modalities_table,
    number_text,
    outcomes_table,
    pairs_table,
    share_text,
    times_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.statistics.counts import Bin, Durations, LabelCount
    from pipeline.stats.collect import Stats

MAX_ROWS = 40
MAX_PAIRS = 15
MAX_HOSTS = 10
BAR_COLUMNS = 40
LABEL_COLUMNS = 44


def render_stats(stats: Stats) -> str:
    """Return the statistics as text; long lists are cut, with a note."""
    parts = [
        _summary(stats),
        _labels("categories", stats, stats.corpus.categories),
        _labels("tags", stats, stats.corpus.tags),
        _pairs(stats),
        _durations(stats),
        _titles(stats),
        _section("modalities", _table(modalities_table(stats))),
        _section("outcomes", _table(outcomes_table(stats), 36)),
        _cost(stats),
        _disk(stats),
    ]
    return "\n\n".join(parts)


def _summary(stats: Stats) -> str:
    corpus = stats.corpus
    splits = ", ".join(f"{count:,} {name}" for name, count in corpus.splits.items())
    rejected = ", ".join(f"{count:,} {code}" for code, count in stats.rejected.items()) or "none"
    return "\n".join(
        [
            f"corpus     {stats.manifest}",
            f"           Manifest {stats.fingerprint} in {stats.root}",
            f"rows       {stats.rows:,}, {stats.merged:,} of them merged into an earlier row with the same id",
            f"rejected   {rejected}",
            f"clips      {corpus.clips:,}: {splits}",
        ]
    )


def _section(title: str, *lines: str) -> str:
    return "\n".join([title, *(f"  {line}" for text in lines for line in text.splitlines())])


def _labels(kind: str, stats: Stats, labels: Sequence[LabelCount]) -> str:
    rows = [
        [label_text(stats, row.name), row.clips, share_text(row.clips, stats.corpus.clips), *row.splits.values()]
        for row in labels[:MAX_ROWS]
    ]
    if kind == "categories":
        note = f"{clips_text(stats.corpus.without_category)} of unknown category"
    else:
        note = (
            f"{clips_text(stats.corpus.untagged)} without tags, {clips_text(stats.corpus.tags_unknown)} of unknown tags"
        )
    lines = [render_table(["name", "clips", "share", *SPLITS], rows, max_column_width=LABEL_COLUMNS)] if rows else []
    if len(labels) > MAX_ROWS:
        lines.append(f"... and {len(labels) - MAX_ROWS:,} more, which --json lists")
    left_out = stats.labels_left_out[kind]
    if left_out:
        lines.append(f"{len(left_out):,} of them have too few clips for the label space")
    return _section(f"{kind}: {len(labels):,}; {note}", *lines)


def _pairs(stats: Stats) -> str:
    if not stats.together.pairs:
        return "tag co-occurrence: no clip has two tags"
    return _section(
        f"tag co-occurrence among the {stats.together.num_paired_tags} most frequent tags (lift 1 = chance)",
        _table(pairs_table(stats, MAX_PAIRS), 34),
    )


def _durations(stats: Stats) -> str:
    stated, decoded = stats.corpus.durations, stats.decoded
    parts = []
    if stated.known:
        parts.append(_duration_table("from the manifest", stated))
    if decoded is not None and decoded.durations.known:
        parts.append(
            _duration_table(f"from decoded files, {decoded.shards} of {decoded.of_shards} shards", decoded.durations)
        )
    return "\n\n".join(parts) or "durations: none in the manifest, and nothing is decoded yet"


def _duration_table(origin: str, found: Durations) -> str:
    return _section(
        f"durations in seconds, {origin}: {found.known:,} known, {found.missing:,} unknown; {hours_text(found)}",
        f"mean {number_text(found.mean_seconds)}, median {number_text(found.median_seconds)},"
        f" 95 % below {number_text(found.p95_seconds)}, longest {number_text(found.longest_seconds)}",
        _histogram(found.bins),
    )


def _titles(stats: Stats) -> str:
    titles = stats.corpus.titles
    scripts = ", ".join(f"{count:,} {name}" for name, count in titles.scripts.items() if count)
    return _section(
        f"titles: {titles.present:,} of {clips_text(stats.corpus.clips)}, {titles.distinct:,} distinct",
        f"characters: mean {number_text(titles.mean_characters)}, median {number_text(titles.median_characters)},"
        f" longest {number_text(titles.longest_characters)}",
        f"scripts: {scripts}",
        _histogram(titles.bins),
    )


def _histogram(bins: Sequence[Bin]) -> str:
    most = max((one.clips for one in bins), default=0) or 1
    last = max((number for number, one in enumerate(bins) if one.clips), default=0)
    rows = [[bin_text(one), one.clips, "#" * round(one.clips / most * BAR_COLUMNS)] for one in bins[: last + 1]]
    return render_table(["from", "clips", ""], rows)


def _cost(stats: Stats) -> str:
    cost = stats.cost
    if not any(kind.urls for kind in cost.kinds):
        return "download: all files are local, nothing is downloaded"
    lines = [_table(downloads_table(stats)), f"expected {expected_text(cost)}", f"({BASES[cost.basis]})"]
    if cost.remaining_urls:
        lines += [f"{limit}: {time}" for limit, time in times_text(cost)]
        lines.append(_table(hosts_table(stats, MAX_HOSTS)))
    if len(cost.hosts) > MAX_HOSTS:
        lines.append(f"... and {len(cost.hosts) - MAX_HOSTS:,} more hosts")
    return _section("download", *lines)


def _disk(stats: Stats) -> str:
    total = bytes_text(sum(row.own_bytes for row in stats.disk))
    return _section(f"disk: {total} in {stats.root}, hard-linked files counted once", _table(disk_table(stats)))


def _table(table: Table, max_column_width: int = 60) -> str:
    return render_table(table.headers, table.rows, max_column_width=max_column_width)
