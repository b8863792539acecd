"""Evaluation of scores on labelled clips: the numbers of ``metrics.json`` and the tables of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from features.base.errors import DataError
from models.calibration.schema import TAG_THRESHOLD, mean_thresholds, read_members
from models.calibration.summary import CalibrationBlock, calibration_block
from models.data.labels import UNKNOWN_CATEGORY
from models.evaluation.baselines import BaselineScores, run_baselines, take
from models.evaluation.logistic_regression import LogisticSettings
from models.metrics import METRICS
from models.metrics.arrays import average_precision_per_class, confusion_matrix
from models.metrics.head_metrics import HeadScores, compute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from models.data.labels import Indices, Labels
    from models.data.sources import FeatureSource
    from models.metrics.metric import Head
    from models.prediction.predict import Predictions


class ClassRow(TypedDict):
    """One class of one head; ``average_precision`` is None where no evaluated clip has the class.

    ``chance`` is the class's fraction of the evaluated clips: the average precision that a score without any
    information is expected to reach, and exactly what a constant score reaches. ``threshold`` is the probability from
    which on a tag is predicted, None for a category.
    """

    name: str
    num_positives: int
    average_precision: float | None
    chance: float
    threshold: float | None


class PerClass(TypedDict):
    """One row per class, in the order of the label space; empty for a head that was not evaluated."""

    category: list[ClassRow]
    tags: list[ClassRow]


class NumEvaluated(TypedDict):
    """Number of clips that each head is evaluated on."""

    category: int
    tags: int


class Evaluation(TypedDict):
    """The metrics of one set of scores; plain values, ready for JSON.

    ``category`` and ``tags`` are the blocks of the heads: key of each metric of :data:`~models.metrics.METRICS` ->
    value, 0 to 1.
    """

    category: dict[str, float] | None
    tags: dict[str, float] | None
    num_evaluated: NumEvaluated
    per_class: PerClass
    confusion: list[list[int]]


@dataclass(frozen=True)
class SplitEvaluation:
    """All numbers of one split.

    Attributes:
        model: Of the network, or of the ensemble.
        baselines: Baseline -> its numbers on the same clips.
        calibration: What was fitted for the network; None where nothing was, and then not for the baselines either.
    """

    model: Evaluation
    baselines: Mapping[str, Evaluation]
    calibration: CalibrationBlock | None


@dataclass(frozen=True)
class WrongClip:
    """A clip whose predicted category is not its own.

    Attributes:
        row: Its row in the scores.
        true: Number of its category.
        predicted: Number of the predicted category.
        probability: Score of the predicted category.
    """

    row: int
    true: int
    predicted: int
    probability: float


def evaluate_split(
    source: FeatureSource,
    labels: Labels,
    splits: Mapping[str, Indices],
    split: str,
    scores: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    checkpoints: Sequence[Path],
    *,
    uncalibrated: npt.NDArray[np.float32] | None,
) -> SplitEvaluation:
    """Return the evaluation of the network and of its baselines on the clips of ``split``.

    Args:
        source: The clips.
        labels: Their labels, in the label space of the checkpoints.
        splits: ``train``, ``validation`` and ``split`` -> positions in ``source``.
        split: Name of the split to evaluate on.
        scores: Category ``(N, K)`` and tag ``(N, C)`` probabilities of all N clips, as ``checkpoints`` predict them.
        checkpoints: Folders of the networks whose predictions are averaged; at least one.
        uncalibrated: ``(n, K)`` category scores of the clips of ``split`` before calibration; not used, and may be
            None, where no checkpoint has a calibration.

    Raises:
        CheckpointError: A calibration is damaged, or of another checkpoint.
        DataError: The train split is empty, or scores and labels do not fit each other.
    """
    scored = splits[split]
    calibrations = read_members(checkpoints, len(labels.category_names), len(labels.tag_names))
    baselines = run_baselines(
        source,
        labels,
        train=splits["train"],
        validation=splits["validation"],
        scored=scored,
        settings=LogisticSettings(),
        calibrated=calibrations is not None,
    )
    thresholds = None if calibrations is None else mean_thresholds(calibrations)
    category_scores, tag_scores = (part[scored] for part in scores)
    calibration = None
    if calibrations is not None and uncalibrated is not None:
        calibration = calibration_block(
            calibrations, uncalibrated=uncalibrated, calibrated=category_scores, category=labels.category[scored]
        )
    return SplitEvaluation(
        evaluate_clips(BaselineScores(category_scores, tag_scores, thresholds), labels, scored),
        {name: evaluate_clips(found, labels, scored) for name, found in baselines.items()},
        calibration,
    )


def evaluate_clips(found: Predictions | BaselineScores, labels: Labels, scored: Indices) -> Evaluation:
    """Return the evaluation of the scores of some clips.

    Args:
        found: One row for each of ``scored``.
        labels: Labels of all clips.
        scored: ``(n,)`` positions in ``labels``.

    Raises:
        DataError: Scores and labels do not fit each other.
    """
    chosen = take(labels, scored)
    return evaluate(
        found.category_scores,
        chosen.category,
        found.tag_scores,
        chosen.tags,
        chosen.tags_known,
        category_names=chosen.category_names,
        tag_names=chosen.tag_names,
        tag_thresholds=found.tag_thresholds,
    )


def evaluate(
    category_scores: npt.NDArray[np.floating] | None,
    category: npt.NDArray[np.integer],
    tag_scores: npt.NDArray[np.floating] | None,
    tags: npt.NDArray[np.bool_],
    tags_known: npt.NDArray[np.bool_],
    *,
    category_names: tuple[str, ...],
    tag_names: tuple[str, ...],
    tag_thresholds: npt.NDArray[np.floating] | None = None,
) -> Evaluation:
    """Return the metrics of both heads, per head over the clips whose label is known.

    A block is None where the head is missing, has no classes, or no clip of it is known. The predicted
    category is the one with the highest score, the first of them where scores are equal; a tag is predicted
    from its threshold on.

    Args:
        category_scores: ``(N, K)`` higher = more likely, or None without a category head.
        category: ``(N,)`` class index, ``UNKNOWN_CATEGORY`` where the clip has none.
        tag_scores: ``(N, C)`` probabilities, or None without a tag head.
        tags: ``(N, C)`` True where the clip has the tag.
        tags_known: ``(N,)`` False where the clip's tags are not known; such a clip is left out.
        category_names: K names.
        tag_names: C names.
        tag_thresholds: ``(C,)`` probabilities; None means ``TAG_THRESHOLD`` for all.

    Raises:
        DataError: Rows, classes or names do not fit each other.
    """
    result = Evaluation(
        category=None,
        tags=None,
        num_evaluated=NumEvaluated(category=0, tags=0),
        per_class=PerClass(category=[], tags=[]),
        confusion=[],
    )
    if category_scores is not None:
        _check_head("category", category_scores.shape, len(category), len(category_names))
        known = category != UNKNOWN_CATEGORY
        if known.any() and category_names:
            scores, true = category_scores[known], category[known]
            # The confusion matrix comes first: it refuses a class outside 0..K-1.
            result["confusion"] = confusion_matrix(true, scores.argmax(axis=1), len(category_names)).tolist()
            head = HeadScores.of_category(scores, true)
            _add_head(result, "category", head, category_names, [None] * len(category_names))
    if tag_scores is not None:
        _check_head("tag", tag_scores.shape, len(tags_known), len(tag_names))
        thresholds = np.full(len(tag_names), TAG_THRESHOLD) if tag_thresholds is None else tag_thresholds
        _check_thresholds(thresholds, len(tag_names))
        if tags_known.any() and tag_names:
            head = HeadScores.of_tags(tag_scores[tags_known], tags[tags_known], thresholds)
            _add_head(result, "tags", head, tag_names, thresholds.tolist())
    return result


def _add_head(
    result: Evaluation, head: Head, scores: HeadScores, names: tuple[str, ...], thresholds: Sequence[float | None]
) -> None:
    """Fill in the block, the rows and the number of clips of one head, from M >= 1 clips."""
    result[head] = {metric.key: compute(metric, scores) for metric in METRICS if metric.head == head}
    result["num_evaluated"][head] = len(scores.labels)
    result["per_class"][head] = _class_rows(scores.scores, scores.labels, names, thresholds)


def _class_rows(
    scores: npt.NDArray[np.floating],
    labels: npt.NDArray[np.bool_],
    names: tuple[str, ...],
    thresholds: Sequence[float | None],
) -> list[ClassRow]:
    """Return one row per class from ``(M, C)`` scores and labels, M >= 1."""
    return [
        ClassRow(
            name=name,
            num_positives=int(num_positives),
            average_precision=None if np.isnan(average_precision) else float(average_precision),
            chance=float(num_positives / len(labels)),
            threshold=threshold,
        )
        for name, num_positives, average_precision, threshold in zip(
            names, labels.sum(axis=0), average_precision_per_class(scores, labels), thresholds, strict=True
        )
    ]


def _check_head(head: str, scores_shape: tuple[int, ...], num_clips: int, num_names: int) -> None:
    """Raise DataError unless the scores are one row per clip and one column per name."""
    if scores_shape != (num_clips, num_names):
        raise DataError(
            f"{head} scores have shape {scores_shape} for {num_clips} labelled clips and {num_names} names: "
            f"give ({num_clips}, {num_names}), one row per clip and one column per name"
        )


def _check_thresholds(thresholds: npt.NDArray[np.floating], num_tags: int) -> None:
    """Raise DataError unless there is one number a tag."""
    if thresholds.shape != (num_tags,):
        raise DataError(f"tag thresholds have shape {thresholds.shape}: give ({num_tags},), one number a tag")


def most_confident_errors(
    scores: npt.NDArray[np.floating], category: npt.NDArray[np.int64], limit: int
) -> list[WrongClip]:
    """Return the clips predicted wrong, highest score of the wrong category first, at most ``limit``.

    Args:
        scores: ``(N, K)`` probabilities.
        category: ``(N,)`` class numbers, -1 where unknown; such a clip is no error.
        limit: Most clips to return.
    """
    if not scores.size:
        return []
    predicted = scores.argmax(axis=1)
    wrong = np.flatnonzero((category != UNKNOWN_CATEGORY) & (predicted != category))
    confidence = scores[wrong, predicted[wrong]]
    return [
        WrongClip(int(row), int(category[row]), int(predicted[row]), float(scores[row, predicted[row]]))
        for row in wrong[np.argsort(-confidence, kind="stable")[:limit]]
    ]
