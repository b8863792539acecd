"""Statistics of features, and whether cosine similarity separates the clips of a shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]

MAX_NEIGHBOURS = 5
# Rows of the cosine matrix in memory at a time.
BLOCK_ROWS = 512
# Mean cosines between different clips, from which on the clips are nearly parallel, or share one strong direction.
PARALLEL_COSINE = 0.9
COMMON_COSINE = 0.5
# Standard deviation of the norms over their mean, from which on norms dominate distances.
WIDE_NORMS = 0.25


def statistics(features: Float32) -> dict[str, float]:
    """Return summary statistics of features ``(T, D)``; none for T = 0."""
    if not features.size:
        return {}
    norms = np.linalg.norm(features, axis=1)
    result = {
        "mean": float(features.mean()),
        "standard_deviation": float(features.std()),
        "minimum": float(features.min()),
        "maximum": float(features.max()),
        "zeros_fraction": float((features == 0).mean()),
        "mean_norm": float(norms.mean()),
    }
    if len(features) > 1 and norms.min() > 0:
        units = features / norms[:, None]
        result["cosine_to_next_step"] = float((units[1:] * units[:-1]).sum(axis=1).mean())
    return result


def unit_rows(vectors: Float32) -> Float32:
    """Return ``(N, D)`` vectors scaled to norm 1; a row of zeros stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def nearest_rows(units: Float32, row: int) -> list[tuple[int, float]]:
    """Return the rows of ``(N, D)`` unit vectors nearest to ``row``, at most 5, with their cosines.

    The row itself is excluded; of equal cosines the earlier row comes first.
    """
    cosines = units @ units[row]
    order = np.argsort(-cosines, kind="stable")
    return [(int(other), float(cosines[other])) for other in order[order != row][:MAX_NEIGHBOURS]]


@dataclass(frozen=True)
class CosineFitness:
    """How well the cosine between the clips of a shard measures their similarity.

    Attributes:
        num_clips: Compared clips.
        mean_norm: Mean norm of their vectors.
        norm_spread: Standard deviation of the norms over their mean.
        mean_cosine: Mean over all pairs of different clips; near 1 the vectors are parallel.
        lowest_cosine: Lowest over all pairs.
        highest_cosine: Highest over all pairs.
        nearest_of_same_category: Among the clips with a category, the fraction whose nearest one has the same category;
            ``None`` for fewer than two such clips.
        same_category_by_chance: The expected fraction for a random clip instead of the nearest one; likewise.
    """

    num_clips: int
    mean_norm: float
    norm_spread: float
    mean_cosine: float
    lowest_cosine: float
    highest_cosine: float
    nearest_of_same_category: float | None
    same_category_by_chance: float | None

    def remark(self) -> str:
        """Return an interpretation of the numbers in one line."""
        if self.mean_cosine >= PARALLEL_COSINE:
            remark = "unfit for cosine: the embeddings are nearly parallel; subtract the mean vector first"
        elif self.mean_cosine >= COMMON_COSINE:
            remark = "rank by cosine, but do not threshold it: the embeddings share a dominant direction"
        else:
            remark = "fit for cosine: the embeddings point in different directions"
        if self.norm_spread >= WIDE_NORMS:
            remark += "; norms differ widely: scale to norm 1 before comparing distances"
        return remark


def fitness(vectors: Float32, categories: Sequence[str | None]) -> CosineFitness | None:
    """Return the fitness of ``(N, D)`` vectors, one a clip; ``None`` for fewer than two nonzero vectors."""
    norms = np.linalg.norm(vectors, axis=1)
    whole = norms > 0
    if whole.sum() < 2:  # noqa: PLR2004 - a pair
        return None
    units, norms = unit_rows(vectors[whole]), norms[whole]
    names = [name for name, kept in zip(categories, whole, strict=True) if kept]
    count = len(units)
    total = units.astype(np.float64).sum(axis=0)
    pairs_cosine = (float(total @ total) - count) / (count * (count - 1))
    lowest, highest = _extremes(units)
    fraction, chance = _agreement(units, names)
    return CosineFitness(
        num_clips=count,
        mean_norm=float(norms.mean()),
        norm_spread=float(norms.std() / norms.mean()),
        mean_cosine=pairs_cosine,
        lowest_cosine=lowest,
        highest_cosine=highest,
        nearest_of_same_category=fraction,
        same_category_by_chance=chance,
    )


def _extremes(units: Float32) -> tuple[float, float]:
    lowest, highest = 1.0, -1.0
    for start in range(0, len(units), BLOCK_ROWS):
        cosines = _block(units, start)
        lowest = min(lowest, float(np.nanmin(cosines)))
        highest = max(highest, float(np.nanmax(cosines)))
    return lowest, highest


def _agreement(units: Float32, names: Sequence[str | None]) -> tuple[float | None, float | None]:
    """Return the fraction of nearest clips with the same category, and the expected fraction of random clips."""
    known = [row for row, name in enumerate(names) if name is not None]
    if len(known) < 2:  # noqa: PLR2004 - a pair
        return None, None
    _, labels = np.unique([str(names[row]) for row in known], return_inverse=True)
    units = units[known]
    same = 0
    for start in range(0, len(units), BLOCK_ROWS):
        best = np.nanargmax(_block(units, start), axis=1)
        same += int((labels[best] == labels[start : start + BLOCK_ROWS]).sum())
    counts = np.bincount(labels).astype(np.float64)
    pairs = len(known) * (len(known) - 1)
    return same / len(known), float((counts * (counts - 1)).sum() / pairs)


def _block(units: Float32, start: int) -> Float32:
    """Return the cosines of a block of rows to all rows, NaN on the diagonal."""
    cosines: Float32 = units[start : start + BLOCK_ROWS] @ units.T
    rows = np.arange(len(cosines))
    cosines[rows, rows + start] = np.nan
    return cosines
