"""Ranking and decision metrics of whole score arrays, in numpy alone.

Common rules, unless stated otherwise:

* Scores are ``(N, C)`` finite numbers, higher = more likely; labels are ``(N, C)`` booleans or 0/1.
* Ties: clips with equal scores share one threshold, so they enter the ranking together and their order in
  the array has no influence. This is scikit-learn's rule; nothing is shuffled and nothing is seeded.
* Empty: a metric over nothing (no clip, or no positive label) is 0.0, except where ``nan`` is stated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.base.errors import DataError

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.floating[Any]]  # any precision: scores are compared, never rounded
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_MATRIX_AXES = 2  # clips, classes


class PrecisionRecallF1(NamedTuple):
    """Three fractions, 0 to 1; one whose denominator is zero counts as 0.0."""

    precision: float
    recall: float
    f1: float


def global_average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike, top_k: int = 20) -> float:
    """Return GAP@k, 0 to 1: the average precision of all clips' best ``top_k`` predictions in one ranking.

    With the pooled predictions sorted by score, ``GAP = sum_i precision(i) * (recall(i) - recall(i - 1))``.
    Recall is counted over every positive label of every clip, also over those that are not among the clip's
    ``top_k`` predictions, so a clip with more than ``top_k`` labels keeps the result below 1. Where equal scores
    straddle the border of a clip's ``top_k``, they share the places left in equal parts, so the order of the
    classes has no influence. With C <= ``top_k`` every prediction enters the pool.

    Source: evaluation of the YouTube-8M Video Understanding Challenge (2017) on the data set of Abu-El-Haija
    et al. (2016), arXiv:1609.08675; the denominator is the one of its published ``eval_util.calculate_gap``.

    Raises:
        DataError: The arrays differ in shape, a score is not finite, a label is not 0/1, or ``top_k`` < 1.
    """
    checked_scores, checked_labels = _check_scores_and_labels(scores, labels)
    if top_k < 1:
        raise DataError(f"top_k is {top_k}: it counts predictions per clip; give 1 or more")
    weights = _top_k_weights(checked_scores, top_k)
    kept = weights > 0
    return _average_precision(
        checked_scores[kept],
        checked_labels[kept],
        weights=weights[kept],
        num_positives=int(checked_labels.sum()),
    )


def average_precision_per_class(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Float64:
    """Return each class's average precision over all clips, ``(C,)`` in 0 to 1, nan where it has no positive.

    ``AP = sum_n (R_n - R_{n-1}) P_n`` over the distinct thresholds, not interpolated, as in scikit-learn.

    Raises:
        DataError: The arrays differ in shape, a score is not finite, or a label is not 0/1.
    """
    checked_scores, checked_labels = _check_scores_and_labels(scores, labels)
    num_positives = checked_labels.sum(axis=0)
    per_class = np.full(checked_scores.shape[1], np.nan)
    for index in np.flatnonzero(num_positives):
        per_class[index] = _average_precision(
            checked_scores[:, index],
            checked_labels[:, index],
            weights=None,
            num_positives=int(num_positives[index]),
        )
    return per_class


def mean_average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return mAP, 0 to 1: the mean of ``average_precision_per_class`` over the classes with a positive clip.

    0.0 when no class has one. Equals the mean of scikit-learn's ``average_precision_score`` over those classes.

    Raises:
        DataError: The arrays differ in shape, a score is not finite, or a label is not 0/1.
    """
    per_class = average_precision_per_class(scores, labels)
    known = per_class[~np.isnan(per_class)]
    return float(known.mean()) if known.size else 0.0


def micro_precision_recall_f1(
    scores: npt.ArrayLike, labels: npt.ArrayLike, threshold: float = 0.5
) -> PrecisionRecallF1:
    """Return precision, recall and F1 of the decisions ``score >= threshold``, all classes counted together.

    Raises:
        DataError: The arrays differ in shape, a score is not finite, or a label is not 0/1.
    """
    hits, num_predicted, num_positives = _count_decisions(scores, labels, threshold)
    precision, recall, f1 = _precision_recall_f1(hits.sum(), num_predicted.sum(), num_positives.sum())
    return PrecisionRecallF1(float(precision), float(recall), float(f1))


def macro_precision_recall_f1(
    scores: npt.ArrayLike, labels: npt.ArrayLike, threshold: float = 0.5
) -> PrecisionRecallF1:
    """Return the mean over all C classes of the precision, recall and F1 of ``score >= threshold``.

    A class that is neither predicted nor present counts with 0.0: scikit-learn's ``zero_division=0``.

    Raises:
        DataError: The arrays differ in shape, a score is not finite, or a label is not 0/1.
    """
    hits, num_predicted, num_positives = _count_decisions(scores, labels, threshold)
    if not hits.size:
        return PrecisionRecallF1(0.0, 0.0, 0.0)
    precision, recall, f1 = _precision_recall_f1(hits, num_predicted, num_positives)
    return PrecisionRecallF1(float(precision.mean()), float(recall.mean()), float(f1.mean()))


def confusion_matrix(true: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> Int64:
    """Return ``(K, K)`` counts of clips, row = true class, column = predicted; inputs ``(N,)`` in 0..K-1.

    Raises:
        DataError: The two differ in length, or contain something other than whole numbers in 0..K-1.
    """
    checked_true, checked_predicted = _check_classes(true, predicted, num_classes)
    cells = np.bincount(checked_true * num_classes + checked_predicted, minlength=num_classes * num_classes)
    return cells.astype(np.int64).reshape(num_classes, num_classes)


def macro_f1(true: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> float:
    """Return the mean F1, 0 to 1, over the classes that occur in either input, ``(N,)`` in 0..K-1.

    Equals scikit-learn's ``f1_score(average="macro")``.

    Raises:
        DataError: As ``confusion_matrix``.
    """
    matrix = confusion_matrix(true, predicted, num_classes)
    num_predicted, num_true = matrix.sum(axis=0), matrix.sum(axis=1)
    present = (num_predicted + num_true) > 0
    if not present.any():
        return 0.0
    _, _, f1 = _precision_recall_f1(np.diag(matrix)[present], num_predicted[present], num_true[present])
    return float(f1.mean())


def expected_calibration_error(
    scores: npt.NDArray[np.floating], category: npt.NDArray[np.integer], num_bins: int = 15
) -> float | None:
    """Return the expected calibration error of the best category, 0 to 1; None without a clip of known category.

    Clips are binned by the probability of their best category, in ``num_bins`` bins of equal width, each with its
    upper end; the result is the mean of |accuracy - mean probability| over the bins, weighted by their clips. Guo et
    al. 2017, arXiv 1706.04599, section 2, equation 3.

    Args:
        scores: ``(N, K)`` probabilities.
        category: ``(N,)`` numbers, below 0 where unknown.
        num_bins: At least 1.
    """
    known = category >= 0
    if not known.any() or not scores.shape[1]:
        return None
    confidence = scores[known].max(axis=1).astype(np.float64)
    is_right = scores[known].argmax(axis=1) == category[known]
    bins = np.clip(np.ceil(confidence * num_bins) - 1, 0, num_bins - 1).astype(np.int64)
    # Per bin, the clips times the difference of the two means is the difference of the two sums.
    differences = np.bincount(bins, weights=is_right - confidence, minlength=num_bins)
    return float(np.abs(differences).sum() / len(confidence))


def _average_precision(
    scores: FloatArray, positives: BoolArray, *, weights: Float64 | None, num_positives: int
) -> float:
    """Return the area under one precision-recall step curve; arrays ``(M,)``, ``weights`` None = all ones."""
    if not num_positives:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ranked_scores, ranked_positives = scores[order], positives[order]
    # Only the last of a run of equal scores is a threshold, so the order inside the run cannot matter.
    threshold_ends = np.flatnonzero(np.append(ranked_scores[1:] != ranked_scores[:-1], True))
    ranked_weights = np.ones(len(order)) if weights is None else weights[order]
    hits = np.cumsum(ranked_weights * ranked_positives)[threshold_ends]
    precision = hits / np.cumsum(ranked_weights)[threshold_ends]
    return float(np.sum(np.diff(hits, prepend=0.0) * precision) / num_positives)


def _top_k_weights(scores: FloatArray, top_k: int) -> Float64:
    """Return ``(N, C)`` weights: 1 in the clip's ``top_k``, 0 outside, at a tie an equal part of the places left."""
    num_classes = scores.shape[1]
    if num_classes <= top_k:
        return np.ones(scores.shape)
    border = np.partition(scores, num_classes - top_k, axis=1)[:, num_classes - top_k, np.newaxis]  # (N, 1)
    above, level = scores > border, scores == border
    places_left = top_k - above.sum(axis=1, keepdims=True)
    weights: Float64 = above + level * (places_left / level.sum(axis=1, keepdims=True))
    return weights


def _count_decisions(scores: npt.ArrayLike, labels: npt.ArrayLike, threshold: float) -> tuple[Int64, Int64, Int64]:
    """Return three ``(C,)`` counts of clips: predicted and true, predicted, true."""
    checked_scores, checked_labels = _check_scores_and_labels(scores, labels)
    predicted = checked_scores >= threshold
    return (predicted & checked_labels).sum(axis=0), predicted.sum(axis=0), checked_labels.sum(axis=0)


def _precision_recall_f1(
    hits: npt.ArrayLike, num_predicted: npt.ArrayLike, num_positives: npt.ArrayLike
) -> tuple[Float64, Float64, Float64]:
    """Return precision, recall and F1 in the shape of the counts; 0.0 wherever a denominator is zero."""
    hit_counts = np.asarray(hits, dtype=np.float64)
    predicted_counts, positive_counts = np.asarray(num_predicted), np.asarray(num_positives)
    precision = hit_counts / np.maximum(predicted_counts, 1)
    recall = hit_counts / np.maximum(positive_counts, 1)
    f1 = 2 * hit_counts / np.maximum(predicted_counts + positive_counts, 1)
    return precision, recall, f1


def _check_scores_and_labels(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Return both as arrays of one ``(N, C)`` shape, finite and boolean, or raise DataError."""
    score_array, label_array = np.asarray(scores), np.asarray(labels)
    if score_array.ndim != _MATRIX_AXES or score_array.shape != label_array.shape:
        raise DataError(
            f"scores have shape {score_array.shape}, labels {label_array.shape}: "
            "give one row per clip and one column per class in both"
        )
    if not np.issubdtype(score_array.dtype, np.floating):
        score_array = score_array.astype(np.float64)
    if not np.isfinite(score_array).all():
        row, column = np.argwhere(~np.isfinite(score_array))[0]
        raise DataError(
            f"the score of clip {row}, class {column} is {score_array[row, column]}: "
            "only finite scores can be ranked; look for a diverged training"
        )
    bool_labels = label_array.astype(np.bool_)
    if label_array.dtype != np.bool_ and not np.array_equal(label_array, bool_labels):
        raise DataError("labels hold a value other than 0 and 1: give booleans, one column per class")
    return score_array, bool_labels


def _check_classes(true: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> tuple[Int64, Int64]:
    """Return both as ``(N,)`` int64 in 0..K-1, or raise DataError."""
    arrays = []
    for name, values in (("true", true), ("predicted", predicted)):
        array = np.asarray(values)
        if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
            raise DataError(
                f"{name} classes have shape {array.shape} and type {array.dtype}: give one whole number per clip"
            )
        if array.size and (array.min() < 0 or array.max() >= num_classes):
            raise DataError(
                f"{name} classes run from {array.min()} to {array.max()}: they must lie in "
                f"0..{num_classes - 1}; leave clips of unknown class out"
            )
        arrays.append(array.astype(np.int64))
    if len(arrays[0]) != len(arrays[1]):
        raise DataError(f"{len(arrays[0])} true classes for {len(arrays[1])} predicted ones: give one pair per clip")
    return arrays[0], arrays[1]
