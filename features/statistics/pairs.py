"""Co-occurrence of labels on clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.statistics.columns import Columns, Int32, Int64

MAX_PAIRED_TAGS = 200
CHUNK_CLIPS = 16_384  # its table of tags takes 13 MB as float32 at MAX_PAIRED_TAGS


@dataclass(frozen=True)
class LabelPair:
    """Two tags on the same clips.

    Attributes:
        first: The more frequent one.
        second: The other.
        clips: Clips with both.
        lift: ``clips`` over the count expected for independent tags; 1 = chance.
    """

    first: str
    second: str
    clips: int
    lift: float


@dataclass(frozen=True)
class CountMatrix:
    """Counts of clips: ``counts[i][j]`` have both ``rows[i]`` and ``columns[j]``."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CoOccurrence:
    """Co-occurrence of labels.

    Attributes:
        num_paired_tags: Number of tags among which pairs are counted: the most frequent ones.
        pairs: The most frequent pairs of them, at least one clip each.
        tags: The most frequent tags with each other; the diagonal counts the clips of each.
        categories: The most frequent categories with the most frequent tags.
    """

    num_paired_tags: int
    pairs: tuple[LabelPair, ...]
    tags: CountMatrix
    categories: CountMatrix


def co_occurrence(columns: Columns, *, num_pairs: int, matrix_size: int) -> CoOccurrence:
    """Return pairs and matrices of labels; matrices have at most ``matrix_size`` rows and columns."""
    tags = _most_frequent(columns.tags, columns.tag_names, MAX_PAIRED_TAGS)
    categories = _most_frequent(columns.category[columns.category >= 0], columns.category_names, matrix_size)
    paired = _tag_matrix(columns, tags)
    names = [columns.tag_names[tag] for tag in tags]
    kept = tags[:matrix_size]
    return CoOccurrence(
        num_paired_tags=len(tags),
        pairs=_pairs(paired, names, len(columns))[:num_pairs],
        tags=_matrix(names[:matrix_size], names[:matrix_size], paired[: len(kept), : len(kept)]),
        categories=_matrix(
            [columns.category_names[category] for category in categories],
            names[:matrix_size],
            _category_matrix(columns, categories, kept),
        ),
    )


def _most_frequent(labels: Int32, names: Sequence[str], count: int) -> list[int]:
    """Return the positions of the most frequent labels; equal counts are sorted by name."""
    clips = np.bincount(labels, minlength=len(names)).tolist()
    return sorted(range(len(names)), key=lambda label: (-clips[label], names[label]))[:count]


def _places(labels: Sequence[int], num_names: int) -> npt.NDArray[np.int64]:
    """Return for each of ``num_names`` labels its position in ``labels``, -1 where it is absent."""
    places = np.full(num_names, -1, np.int64)
    places[list(labels)] = np.arange(len(labels))
    return places


def _tag_matrix(columns: Columns, tags: Sequence[int]) -> Int64:
    """Return ``(K, K)`` clips with tag i and tag j."""
    places = _places(tags, len(columns.tag_names))
    total = np.zeros((len(tags), len(tags)), np.int64)
    clips = np.repeat(np.arange(len(columns)), np.diff(columns.tag_offsets))
    for start in range(0, len(columns), CHUNK_CLIPS):
        stop = min(start + CHUNK_CLIPS, len(columns))
        part = slice(columns.tag_offsets[start], columns.tag_offsets[stop])
        columns_of = places[columns.tags[part]]
        kept = columns_of >= 0
        table = np.zeros((stop - start, len(tags)), np.float32)
        table[clips[part][kept] - start, columns_of[kept]] = 1
        # Whole numbers up to CHUNK_CLIPS: exact in float32.
        total += np.rint(table.T @ table).astype(np.int64)
    return total


def _category_matrix(columns: Columns, categories: Sequence[int], tags: Sequence[int]) -> Int64:
    """Return ``(C, K)`` clips of category i with tag j."""
    category_of = np.append(_places(categories, len(columns.category_names)), -1)  # position -1 is an unknown category
    rows = np.repeat(category_of[columns.category], np.diff(columns.tag_offsets))
    places = _places(tags, len(columns.tag_names))[columns.tags]
    kept = (rows >= 0) & (places >= 0)
    cells = np.bincount(rows[kept] * len(tags) + places[kept], minlength=len(categories) * len(tags))
    return cells.reshape(len(categories), len(tags)).astype(np.int64)


def _pairs(paired: Int64, names: Sequence[str], num_clips: int) -> tuple[LabelPair, ...]:
    first, second = np.nonzero(np.triu(paired, 1))
    alone = paired.diagonal()
    pairs = [
        LabelPair(names[i], names[j], clips := int(paired[i, j]), clips * num_clips / float(alone[i] * alone[j]))
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.clips, pair.first, pair.second)))


def _matrix(rows: Sequence[str], columns: Sequence[str], counts: Int64) -> CountMatrix:
    return CountMatrix(tuple(rows), tuple(columns), tuple(tuple(row) for row in counts.tolist()))
