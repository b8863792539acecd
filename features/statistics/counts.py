"""Statistics of a corpus: labels, durations, titles, modalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.formats.records import SPLITS
from features.statistics.columns import FIELDS, SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.statistics.columns import Bools, Columns, Int32

DURATION_EDGES = (0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600)  # seconds
TITLE_EDGES = (0, 1, 6, 11, 16, 21, 31, 41, 61, 81, 121, 201)  # characters; from 0 to below 1 is no title


@dataclass(frozen=True)
class LabelCount:
    """Clips with one label, in all and by split."""

    name: str
    clips: int
    splits: Mapping[str, int]


@dataclass(frozen=True)
class Bin:
    """Clips from ``low`` to below ``high``; ``high`` is None for the last bin, which has no end."""

    low: float
    high: float | None
    clips: int


@dataclass(frozen=True)
class Durations:
    """Durations in seconds; unknown ones count as missing; None where no duration is known."""

    known: int
    missing: int
    total_hours: float
    mean_seconds: float | None
    median_seconds: float | None
    p95_seconds: float | None
    longest_seconds: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Titles:
    """Titles, in characters without the spaces around them.

    Attributes:
        present: Clips with a title.
        distinct: Distinct titles after normalisation as for the splits: case, width and runs of spaces do not count.
        mean_characters: Of the titles present, None without titles.
        median_characters: Likewise.
        longest_characters: Likewise.
        scripts: Clips by script.
        bins: Clips by length.
    """

    present: int
    distinct: int
    mean_characters: float | None
    median_characters: float | None
    longest_characters: int | None
    scripts: Mapping[str, int]
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class CorpusStatistics:
    """The statistics of a corpus.

    Attributes:
        clips: Records.
        splits: Clips by split.
        categories: The most frequent first.
        without_category: Clips of unknown category.
        tags: The most frequent first.
        untagged: Clips known to have no tag.
        tags_unknown: Clips without a tags field in the manifest.
        durations: From the manifest.
        titles: Their lengths and scripts.
        modalities: Clips whose record has the field, in all (``all``) and by split.
    """

    clips: int
    splits: Mapping[str, int]
    categories: tuple[LabelCount, ...]
    without_category: int
    tags: tuple[LabelCount, ...]
    untagged: int
    tags_unknown: int
    durations: Durations
    titles: Titles
    modalities: Mapping[str, Mapping[str, int]]


def corpus_statistics(columns: Columns) -> CorpusStatistics:
    """Return the statistics of a corpus."""
    num_tags = np.diff(columns.tag_offsets)
    known = columns.category >= 0
    return CorpusStatistics(
        clips=len(columns),
        splits=_by_split(columns, np.ones(len(columns), np.bool_)),
        categories=_label_counts(columns.category[known], columns.split[known], columns.category_names),
        without_category=int((~known).sum()),
        tags=_label_counts(columns.tags, np.repeat(columns.split, num_tags), columns.tag_names),
        untagged=int((columns.tags_known & (num_tags == 0)).sum()),
        tags_unknown=int((~columns.tags_known).sum()),
        durations=summarise_durations(columns.duration_seconds.astype(np.float64)),
        titles=_titles(columns),
        modalities={
            name: {"all": int(columns.present[name].sum()), **_by_split(columns, columns.present[name])}
            for name in FIELDS
        },
    )


def _by_split(columns: Columns, chosen: Bools) -> dict[str, int]:
    counts = np.bincount(columns.split[chosen], minlength=len(SPLITS))
    return dict(zip(SPLITS, counts.tolist(), strict=True))


def _label_counts(labels: Int32, splits: npt.NDArray[np.int8], names: Sequence[str]) -> tuple[LabelCount, ...]:
    """Return the counts of ``(M,)`` labels with the ``(M,)`` splits of their clips."""
    cells = np.bincount(labels.astype(np.int64) * len(SPLITS) + splits, minlength=len(names) * len(SPLITS))
    table = cells.reshape(len(names), len(SPLITS))  # (labels, splits)
    rows = [
        LabelCount(name, sum(row), dict(zip(SPLITS, row, strict=True)))
        for name, row in zip(names, table.tolist(), strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.clips, row.name)))


def summarise_durations(all_seconds: npt.NDArray[np.float64]) -> Durations:
    """Return the statistics of ``(N,)`` durations, NaN where one is unknown."""
    seconds = all_seconds[~np.isnan(all_seconds)]
    has_any = bool(len(seconds))
    return Durations(
        known=len(seconds),
        missing=len(all_seconds) - len(seconds),
        total_hours=float(seconds.sum() / 3600),
        mean_seconds=float(seconds.mean()) if has_any else None,
        median_seconds=float(np.median(seconds)) if has_any else None,
        p95_seconds=float(np.percentile(seconds, 95)) if has_any else None,
        longest_seconds=float(seconds.max()) if has_any else None,
        bins=_bins(seconds, DURATION_EDGES),
    )


def _titles(columns: Columns) -> Titles:
    present = columns.title_characters > 0
    lengths = columns.title_characters[present]
    scripts = np.bincount(columns.title_script, minlength=len(SCRIPTS))
    return Titles(
        present=len(lengths),
        distinct=len(np.unique(columns.title_digest[present])),
        mean_characters=float(lengths.mean()) if len(lengths) else None,
        median_characters=float(np.median(lengths)) if len(lengths) else None,
        longest_characters=int(lengths.max()) if len(lengths) else None,
        scripts=dict(zip(SCRIPTS, scripts.tolist(), strict=True)),
        bins=_bins(columns.title_characters.astype(np.float64), TITLE_EDGES),
    )


def _bins(values: npt.NDArray[np.float64], edges: Sequence[int]) -> tuple[Bin, ...]:
    """Return the histogram of values that are not below the first edge."""
    places = np.searchsorted(np.asarray(edges), values, side="right") - 1
    counts = np.bincount(places, minlength=len(edges))
    ends = [*edges[1:], None]
    return tuple(Bin(low, high, int(count)) for low, high, count in zip(edges, ends, counts, strict=True))
