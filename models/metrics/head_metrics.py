"""The metrics of one head, each a function of the scores, labels and decisions of the same clips."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.metrics.arrays import (
    PrecisionRecallF1,
    global_average_precision,
    macro_precision_recall_f1,
    mean_average_precision,
    micro_precision_recall_f1,
)

if TYPE_CHECKING:
    from models.metrics.metric import Metric

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeadScores:
    """Scores of the N clips of one head whose labels are known, and what is decided from them.

    Attributes:
        scores: ``(N, C)``, higher = more likely.
        labels: ``(N, C)``; one True a clip for the category.
        decisions: ``(N, C)`` True where the class is predicted; one True a clip for the category.
    """

    scores: npt.NDArray[np.floating]
    labels: BoolArray
    decisions: BoolArray

    @classmethod
    def of_category(cls, scores: npt.NDArray[np.floating], category: npt.NDArray[np.integer]) -> HeadScores:
        """Return the category's head; the first of equal scores is predicted.

        Args:
            scores: ``(N, K)``, K at least 1.
            category: ``(N,)`` numbers of the categories, all known.
        """
        numbers = np.arange(scores.shape[1])
        return cls(scores, category[:, np.newaxis] == numbers, scores.argmax(axis=1)[:, np.newaxis] == numbers)

    @classmethod
    def of_tags(
        cls, scores: npt.NDArray[np.floating], tags: BoolArray, thresholds: npt.NDArray[np.floating] | float
    ) -> HeadScores:
        """Return the tags' head; a tag is predicted from its threshold on.

        Args:
            scores: ``(N, C)``.
            tags: ``(N, C)``, all known.
            thresholds: ``(C,)``, or one for all.
        """
        return cls(scores, tags, scores >= thresholds)


def compute(metric: Metric, scores: HeadScores) -> float:
    """Return a metric of the table for the scored clips of its head."""
    module, _, name = metric.function.partition(":")
    return float(getattr(importlib.import_module(module), name)(scores))


def accuracy(head: HeadScores) -> float:
    """Return the fraction of clips for which a class of theirs is predicted; 0.0 without clips."""
    return float((head.labels & head.decisions).any(axis=1).mean()) if len(head.labels) else 0.0


def mean_ap(head: HeadScores) -> float:
    """Return :func:`~models.metrics.arrays.mean_average_precision`."""
    return mean_average_precision(head.scores, head.labels)


def gap_at_20(head: HeadScores) -> float:
    """Return :func:`~models.metrics.arrays.global_average_precision` of the best 20 classes of each clip."""
    return global_average_precision(head.scores, head.labels, top_k=20)


def micro_precision(head: HeadScores) -> float:
    """Return the precision of all decisions counted together."""
    return _micro(head).precision


def micro_recall(head: HeadScores) -> float:
    """Return the recall of all decisions counted together."""
    return _micro(head).recall


def micro_f1(head: HeadScores) -> float:
    """Return the F1 of all decisions counted together."""
    return _micro(head).f1


def macro_precision(head: HeadScores) -> float:
    """Return the mean precision over the classes that occur or are predicted."""
    return _macro_of_occurring(head).precision


def macro_recall(head: HeadScores) -> float:
    """Return the mean recall over the classes that occur or are predicted."""
    return _macro_of_occurring(head).recall


def macro_f1(head: HeadScores) -> float:
    """Return the mean F1 over the classes that occur or are predicted."""
    return _macro_of_occurring(head).f1


def macro_precision_all_classes(head: HeadScores) -> float:
    """Return the mean precision over all classes; one that neither occurs nor is predicted counts as 0.0."""
    return _macro(head).precision


def macro_recall_all_classes(head: HeadScores) -> float:
    """Return the mean recall over all classes; one that neither occurs nor is predicted counts as 0.0."""
    return _macro(head).recall


def macro_f1_all_classes(head: HeadScores) -> float:
    """Return the mean F1 over all classes; one that neither occurs nor is predicted counts as 0.0."""
    return _macro(head).f1


# Decisions are scores of 0 and 1 here, which the threshold of 0.5 returns unchanged.
def _micro(head: HeadScores) -> PrecisionRecallF1:
    return micro_precision_recall_f1(head.decisions, head.labels)


def _macro(head: HeadScores) -> PrecisionRecallF1:
    return macro_precision_recall_f1(head.decisions, head.labels)


def _macro_of_occurring(head: HeadScores) -> PrecisionRecallF1:
    occurring = (head.labels | head.decisions).any(axis=0)
    return macro_precision_recall_f1(head.decisions[:, occurring], head.labels[:, occurring])
