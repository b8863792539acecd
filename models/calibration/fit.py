"""Fitting of a calibration to the scores and labels of the validation clips, and its use.

The threshold of a tag is the one of the highest F1. For right probabilities that is half the highest F1 (Lipton, Elkan,
Narayanaswamy 2014, "Thresholding Classifiers to Maximize F1 Score", arXiv 1402.1892), so for tags that are hard to
predict it is well below 0.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from features.base.errors import DataError
from models.calibration.logits import (
    category_logits,
    fit_category_temperature,
    fit_tag_temperature,
    fit_tau,
    lift_rare,
    tag_logits,
)
from models.calibration.schema import TAG_THRESHOLD, Calibration
from models.data.labels import UNKNOWN_CATEGORY

Scores = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]

# A tag of fewer positive clips has no threshold of its own: one clip more or less would move it far.
MIN_POSITIVES = 5


def fit_calibration(
    category_scores: Scores,
    category: Int64,
    tag_scores: Scores,
    tags: BoolArray,
    tags_known: BoolArray,
    priors: Float64,
    *,
    seed: int = 0,
) -> Calibration:
    """Return the calibration for uncalibrated probabilities of clips that were not trained on.

    What cannot be fitted stays as it is; the calibration's ``notes`` give the reason.

    Args:
        category_scores: ``(N, K)`` probabilities; K is 0 without categories.
        category: ``(N,)`` numbers, -1 where unknown.
        tag_scores: ``(N, C)`` probabilities; C is 0 without tags.
        tags: ``(N, C)``.
        tags_known: ``(N,)``; the tags of a clip with False are ignored.
        priors: ``(K,)`` fractions of the training clips, see :func:`category_priors`.
        seed: Of the draws by which a gain is compared with chance.

    Raises:
        DataError: The arrays do not fit each other.
    """
    num_clips = len(category)
    _check_shape("category scores", category_scores.shape, (num_clips, len(priors)))
    _check_shape("tag scores", tag_scores.shape, (num_clips, tags.shape[1]))
    _check_shape("tags", tags.shape, (len(tags_known), tag_scores.shape[1]))
    known = category != UNKNOWN_CATEGORY
    generator = np.random.default_rng(seed)
    temperature, tau, notes = _fit_category(category_scores[known], category[known], priors, generator)
    tag_temperature, thresholds, tag_notes = _fit_tags(tag_scores[tags_known], tags[tags_known])
    return Calibration(
        category_temperature=temperature,
        tag_temperature=tag_temperature,
        category_tau=tau,
        category_priors=tuple(priors.tolist()),
        tag_thresholds=tuple(thresholds.tolist()),
        notes=(*notes, *tag_notes),
    )


def apply_calibration(calibration: Calibration, category_scores: Scores, tag_scores: Scores) -> tuple[Float32, Float32]:
    """Return the calibrated probabilities ``(N, K)``, each row adding up to 1, and ``(N, C)``.

    The scores of a head without a fit stay the same to the last bit. Scores that come closer together than the
    resolution of float32 become equal.

    Args:
        calibration: Of the same categories and tags.
        category_scores: ``(N, K)`` probabilities.
        tag_scores: ``(N, C)`` probabilities.

    Raises:
        DataError: The calibration is of another number of categories or tags.
    """
    _check_shape("category scores", category_scores.shape[1:], (len(calibration.category_priors),))
    _check_shape("tag scores", tag_scores.shape[1:], (len(calibration.tag_thresholds),))
    category = category_scores
    if (calibration.category_temperature, calibration.category_tau) != (1.0, 0.0) and category.size:
        logits = category_logits(category_scores) / calibration.category_temperature
        category = softmax(lift_rare(logits, np.array(calibration.category_priors), calibration.category_tau), axis=1)
    return category.astype(np.float32), _scale_tags(tag_scores, calibration.tag_temperature)


def category_priors(category: Int64, num_categories: int) -> Float64:
    """Return each category's fraction of the clips whose category is known, ``(K,)``; zeros without such clips.

    Args:
        category: ``(N,)`` numbers, -1 where unknown.
        num_categories: K.
    """
    counts = np.bincount(category[category != UNKNOWN_CATEGORY], minlength=num_categories)
    priors: Float64 = counts / max(1, counts.sum())
    return priors


def fit_thresholds(
    scores: Scores, tags: BoolArray, *, min_positives: int = MIN_POSITIVES
) -> tuple[Float64, tuple[str, ...]]:
    """Return a threshold for each tag, ``(C,)``, and notes on what was not fitted.

    A tag of fewer than ``min_positives`` positive clips gets the threshold of the highest micro F1, all tags counted
    together; where even these have fewer, it is ``TAG_THRESHOLD`` for all.

    Args:
        scores: ``(N, C)`` probabilities; a tag is given where they are equal to or above the threshold.
        tags: ``(N, C)``, all known.
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
    """Return the threshold of the highest F1 among all that decide differently.

    It is midway between two neighbouring scores, or between the lowest score and 0. Of thresholds with the same
    F1 it is the one nearest to ``TAG_THRESHOLD``.

    Args:
        scores: ``(M,)`` probabilities.
        labels: ``(M,)``, at least one True.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(np.float64)
    # Only the last of a run of equal scores is a border: no threshold separates equal scores.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(labels[order])[ends]
    f1 = 2 * hits / (ends + 1 + labels.sum())
    borders = _midway(ranked[ends], np.append(ranked[ends][1:], 0.0))
    best = borders[f1 == f1.max()]
    return float(best[np.argmin(np.abs(best - TAG_THRESHOLD))])


def _fit_category(
    scores: Scores, category: Int64, priors: Float64, generator: np.random.Generator
) -> tuple[float, float, list[str]]:
    """Return temperature, tau and notes, fitted on ``(M, K)`` scores of clips of known category."""
    if not len(priors):
        return 1.0, 0.0, []
    logits = category_logits(scores)
    temperature, why_none = fit_category_temperature(logits, category)
    tau, why_unlifted = fit_tau(logits / temperature, category, priors, generator)
    notes = {"category temperature 1": why_none, "rare categories not lifted": why_unlifted}
    return temperature, tau, [f"{what}: {why}" for what, why in notes.items() if why]


def _fit_tags(scores: Scores, tags: BoolArray) -> tuple[float, Float64, list[str]]:
    """Return temperature, thresholds and notes, fitted on ``(M, C)`` scores of clips with known tags."""
    if not tags.shape[1]:
        return 1.0, np.zeros(0), []
    temperature, why_none = fit_tag_temperature(tag_logits(scores), tags)
    # Fitted to the very numbers that are compared with the thresholds later: scaled, and rounded to float32.
    thresholds, notes = fit_thresholds(_scale_tags(scores, temperature), tags)
    return temperature, thresholds, [*([f"tag temperature 1: {why_none}"] if why_none else []), *notes]


def _scale_tags(scores: Scores, temperature: float) -> Float32:
    scaled = scores if temperature == 1.0 else expit(tag_logits(scores) / temperature)
    return scaled.astype(np.float32)


def _check_shape(what: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise DataError(f"{what} have shape {shape}: give {expected}, one row a clip and one column a class")


def _midway(above: Float64, below: Float64) -> Float64:
    """Return numbers above ``below`` and not above ``above``; between neighbouring floats there is no other."""
    middle = (above + below) / 2
    return np.where(middle > below, middle, above)
