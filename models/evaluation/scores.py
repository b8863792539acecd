"""From the scores of one split to the numbers of ``metrics.json`` and to the tables of the report."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from features.base.errors import DataError
from models.calibration.schema import TAG_THRESHOLD
from models.data.labels import UNKNOWN_CATEGORY
from models.metrics import (
    accuracy,
    average_precision_per_class,
    confusion_matrix,
    global_average_precision,
    macro_f1,
    macro_precision_recall_f1,
    mean_average_precision,
    micro_precision_recall_f1,
)


class CategoryBlock(TypedDict):
    """Scores of the category head, each 0 to 1; macro ones are means over categories that occur or are predicted."""

    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    gap_at_20: float
    map: float


class TagBlock(TypedDict):
    """Scores of the tag head, each 0 to 1; the macro ones are means over all tags, 0 for one that nobody has."""

    gap_at_20: float
    map: float
    micro_precision: float
    micro_recall: float
    micro_f1: float
    macro_precision: float
    macro_recall: float
    macro_f1: float


class ClassRow(TypedDict):
    """One class of one head; `average_precision` is None where no evaluated clip has the class.

    `chance` is the class's share of the evaluated clips: the average precision that a score without any
    information is expected to reach, and exactly what a constant score reaches. `threshold` is the probability from
    which on a tag is given, None for a category.
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
    """How many clips each block stands on."""

    category: int
    tags: int


class Evaluation(TypedDict):
    """Everything that is measured on one set of scores; plain values, ready for JSON."""

    category: CategoryBlock | None
    tags: TagBlock | None
    num_evaluated: NumEvaluated
    per_class: PerClass
    confusion: list[list[int]]


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
        category: ``(N,)`` class index, `UNKNOWN_CATEGORY` where the clip has none.
        tag_scores: ``(N, C)`` probabilities, or None without a tag head.
        tags: ``(N, C)`` True where the clip has the tag.
        tags_known: ``(N,)`` False where the clip's tags are not known; such a clip is left out.
        category_names: K names.
        tag_names: C names.
        tag_thresholds: ``(C,)`` probabilities; None means `TAG_THRESHOLD` for all.

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
        _add_category(result, category_scores, category, category_names)
    if tag_scores is not None:
        _check_head("tag", tag_scores.shape, len(tags_known), len(tag_names))
        thresholds = np.full(len(tag_names), TAG_THRESHOLD) if tag_thresholds is None else tag_thresholds
        _check_thresholds(thresholds, len(tag_names))
        _add_tags(result, tag_scores[tags_known], tags[tags_known], tag_names, thresholds)
    return result


def _add_category(
    result: Evaluation,
    scores: npt.NDArray[np.floating],
    category: npt.NDArray[np.integer],
    names: tuple[str, ...],
) -> None:
    """Fill in the category's part, from ``(N, K)`` scores and ``(N,)`` classes."""
    known = category != UNKNOWN_CATEGORY
    if not known.any() or not names:
        return
    true, known_scores = category[known], scores[known]
    predicted = known_scores.argmax(axis=1)
    matrix = confusion_matrix(true, predicted, len(names))  # also refuses a class outside 0..K-1
    labels = true[:, np.newaxis] == np.arange(len(names))
    decisions = predicted[:, np.newaxis] == np.arange(len(names))
    occurring = (labels | decisions).any(axis=0)
    macro = macro_precision_recall_f1(decisions[:, occurring], labels[:, occurring])
    result["category"] = CategoryBlock(
        accuracy=accuracy(true, predicted, len(names)),
        macro_precision=macro.precision,
        macro_recall=macro.recall,
        macro_f1=macro_f1(true, predicted, len(names)),
        gap_at_20=global_average_precision(known_scores, labels),
        map=mean_average_precision(known_scores, labels),
    )
    result["num_evaluated"]["category"] = len(true)
    result["per_class"]["category"] = _class_rows(known_scores, labels, names, [None] * len(names))
    result["confusion"] = matrix.tolist()


def _add_tags(
    result: Evaluation,
    scores: npt.NDArray[np.floating],
    tags: npt.NDArray[np.bool_],
    names: tuple[str, ...],
    thresholds: npt.NDArray[np.floating],
) -> None:
    """Fill in the tags' part, from ``(M, C)`` scores and labels of the M clips whose tags are known."""
    if not scores.size:
        return
    decisions = scores >= thresholds  # (M, C)
    micro, macro = micro_precision_recall_f1(decisions, tags), macro_precision_recall_f1(decisions, tags)
    result["tags"] = TagBlock(
        gap_at_20=global_average_precision(scores, tags),
        map=mean_average_precision(scores, tags),
        micro_precision=micro.precision,
        micro_recall=micro.recall,
        micro_f1=micro.f1,
        macro_precision=macro.precision,
        macro_recall=macro.recall,
        macro_f1=macro.f1,
    )
    result["num_evaluated"]["tags"] = len(scores)
    result["per_class"]["tags"] = _class_rows(scores, tags, names, thresholds.tolist())


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
