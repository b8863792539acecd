"""The probability from which on a tag is given: the one of the highest F1 on known tags.

For right probabilities the best threshold is half the highest F1 (Lipton, Elkan, Narayanaswamy 2014, "Thresholding
Classifiers to Maximize F1 Score", arXiv 1402.1892), so for tags that are hard to tell it lies well below 0.5.
"""

import numpy as np
import numpy.typing as npt

from models.calibration.schema import TAG_THRESHOLD

Scores = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MIN_POSITIVES = 5
"""A tag of fewer positive clips has no threshold of its own: one clip more or less would move it far."""


def fit_thresholds(
    scores: Scores, tags: BoolArray, *, min_positives: int = MIN_POSITIVES
) -> tuple[Float64, tuple[str, ...]]:
    """A threshold for each tag, `(C,)`, and in words what was not fitted.

    A tag of fewer than `min_positives` positive clips gets the threshold of the highest micro F1, all tags counted
    together; where even these have fewer, it is `TAG_THRESHOLD` for all.

    Args:
        scores: `(N, C)` probabilities; a tag is given where they are equal to or above the threshold.
        tags: `(N, C)`, all known.
        min_positives: At least 1.
    """
    num_tags = tags.shape[1]
    num_positives = tags.sum(axis=0)
    if num_positives.sum() < min_positives:
        note = f"{num_positives.sum()} tags are known on validation clips, thresholds need {min_positives}"
        return np.full(num_tags, TAG_THRESHOLD), (note,) if num_tags else ()
    pooled = best_threshold(scores.ravel(), tags.ravel())
    is_own = num_positives >= min_positives
    thresholds = [
        best_threshold(scores[:, column], tags[:, column]) if is_own[column] else pooled for column in range(num_tags)
    ]
    num_pooled = num_tags - int(is_own.sum())
    note = f"{num_pooled} of {num_tags} tags have fewer than {min_positives} validation clips and share a threshold"
    return np.array(thresholds), (note,) if num_pooled else ()


def best_threshold(scores: Scores, labels: BoolArray) -> float:
    """The threshold of the highest F1, found among all that decide differently.

    It lies midway between two neighbouring scores, or between the lowest score and 0. Of thresholds with the same
    F1 it is the one nearest to `TAG_THRESHOLD`.

    Args:
        scores: `(M,)` probabilities.
        labels: `(M,)`, at least one True.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(np.float64)
    # Only the last of a run of equal scores is a border: a threshold cannot part them.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(labels[order])[ends]
    f1 = 2 * hits / (ends + 1 + labels.sum())
    borders = _midway(ranked[ends], np.append(ranked[ends][1:], 0.0))
    best = borders[f1 == f1.max()]
    return float(best[np.argmin(np.abs(best - TAG_THRESHOLD))])


def _midway(above: Float64, below: Float64) -> Float64:
    """Numbers above `below` and not above `above`; neighbouring floats have none in between."""
    middle = (above + below) / 2
    return np.where(middle > below, middle, above)
