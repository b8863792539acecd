"""Evaluation of scores on labelled clips: the numbers of ``metrics.json`` and the tables of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from features.base.errors import DataError
from models.calibration.schema import TAG_THRESHOLD, Calibration, mean_thresholds, read_members
from models.data.labels import UNKNOWN_CATEGORY
from models.evaluation.baselines import BaselineScores, run_baselines, take
from models.evaluation.logistic_regression import LogisticSettings
from models.metrics import METRICS
from models.metrics.arrays import average_precision_per_class, confusion_matrix, expected_calibration_error
from models.metrics.head_scores import HeadScores

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


class CalibrationBlock(TypedDict):
    """The calibration of a network, or of each member of an ensemble, and its effect on the evaluated clips.

    ``members`` have temperatures, tau and notes; the thresholds of the tags are in ``per_class``. The expected
    calibration error of the best category is given ``before`` and ``after``, None without a clip of known category.
    """

    members: list[dict[str, object]]
    expected_calibration_error: dict[str, float | None]


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
        calibration = calibration_block(calibrations, uncalibrated, category_scores, labels.category[scored])
    return SplitEvaluation(
        evaluate(BaselineScores(category_scores, tag_scores, thresholds), labels, scored),
        {name: evaluate(found, labels, scored) for name, found in baselines.items()},
        calibration,
    )


def evaluate(found: Predictions | BaselineScores, labels: Labels, scored: Indices) -> Evaluation:
    """Return the metrics of both heads, per head over the clips whose label is known.

    A block is None where the head is missing, has no classes, or no clip of it is known. The predicted
    category is the one with the highest score, the first of them where scores are equal; a tag is predicted
    from its threshold on.

    Args:
        found: Scores of the clips at ``scored``, one row each.
        labels: Labels of all clips.
        scored: ``(n,)`` positions in ``labels``.

    Raises:
        DataError: Scores, thresholds and labels do not fit each other.
    """
    labels = take(labels, scored)
    result = Evaluation(
        category=None,
        tags=None,
        num_evaluated=NumEvaluated(category=0, tags=0),
        per_class=PerClass(category=[], tags=[]),
        confusion=[],
    )
    if found.category_scores is not None:
        names, known = labels.category_names, labels.category != UNKNOWN_CATEGORY
        _check_shape("category scores", found.category_scores, (len(labels), len(names)))
        if known.any() and names:
            scores, true = found.category_scores[known], labels.category[known]
            result["confusion"] = confusion_matrix(true, scores.argmax(axis=1), len(names)).tolist()
            _add_head(result, "category", HeadScores.of_category(scores, true), names, [None] * len(names))
    if found.tag_scores is not None:
        names, known = labels.tag_names, labels.tags_known
        _check_shape("tag scores", found.tag_scores, (len(labels), len(names)))
        thresholds = np.full(len(names), TAG_THRESHOLD) if found.tag_thresholds is None else found.tag_thresholds
        _check_shape("tag thresholds", thresholds, (len(names),))
        if known.any() and names:
            head = HeadScores.of_tags(found.tag_scores[known], labels.tags[known], thresholds)
            _add_head(result, "tags", head, names, thresholds.tolist())
    return result


def calibration_block(
    calibrations: Sequence[Calibration],
    uncalibrated: npt.NDArray[np.floating],
    calibrated: npt.NDArray[np.floating],
    category: npt.NDArray[np.integer],
) -> CalibrationBlock:
    """Return the temperatures of every member, and the calibration error before and after.

    Args:
        calibrations: One a member.
        uncalibrated: ``(N, K)`` scores of the category.
        calibrated: ``(N, K)`` scores of the same clips.
        category: ``(N,)`` class index, ``UNKNOWN_CATEGORY`` where the clip has none.
    """
    names = ("category_temperature", "tag_temperature", "category_tau")
    return CalibrationBlock(
        members=[
            {**{name: getattr(member, name) for name in names}, "notes": list(member.notes)} for member in calibrations
        ],
        expected_calibration_error={
            "before": expected_calibration_error(uncalibrated, category),
            "after": expected_calibration_error(calibrated, category),
        },
    )


def most_confident_errors(
    scores: npt.NDArray[np.floating], category: npt.NDArray[np.int64], limit: int
) -> npt.NDArray[np.int64]:
    """Return the rows of clips predicted wrong, highest score of the wrong category first, at most ``limit``.

    Args:
        scores: ``(N, K)`` probabilities.
        category: ``(N,)`` class numbers, ``UNKNOWN_CATEGORY`` where unknown; such a clip is no error.
        limit: Most clips to return.
    """
    if not scores.size:
        return np.zeros(0, np.int64)
    wrong = np.flatnonzero((category != UNKNOWN_CATEGORY) & (scores.argmax(axis=1) != category))
    return wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")[:limit]]


def _add_head(
    result: Evaluation, head: Head, scores: HeadScores, names: tuple[str, ...], thresholds: Sequence[float | None]
) -> None:
    """Fill in the block, the rows and the number of clips of one head, from M >= 1 clips."""
    result[head] = {metric.key: scores.value_of(metric) for metric in METRICS if metric.head == head}
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


def _check_shape(what: str, array: npt.NDArray[np.floating], expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise DataError(f"{what} have shape {array.shape}: give {expected}, as the labels have clips and names")
