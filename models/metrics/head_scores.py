"""The scored clips of one head, and every metric of the table as an attribute of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
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

    def value_of(self, metric: Metric) -> float:
        """Return a metric of the table."""
        return float(attrgetter(metric.attribute)(self))

    @property
    def accuracy(self) -> float:
        """Fraction of clips for which a class of theirs is predicted; 0.0 without clips."""
        return float((self.labels & self.decisions).any(axis=1).mean()) if len(self.labels) else 0.0

    @property
    def mean_ap(self) -> float:
        """Mean average precision over the classes that occur."""
        return mean_average_precision(self.scores, self.labels)

    @property
    def gap_at_20(self) -> float:
        """Global average precision of the best 20 classes of each clip."""
        return global_average_precision(self.scores, self.labels, top_k=20)

    # Decisions are passed as scores of 0 and 1 below, which the threshold of 0.5 leaves as they are.

    @cached_property
    def micro(self) -> PrecisionRecallF1:
        """Precision, recall and F1 of all decisions counted together."""
        return micro_precision_recall_f1(self.decisions, self.labels)

    @cached_property
    def macro(self) -> PrecisionRecallF1:
        """Means of precision, recall and F1 over the classes that occur or are predicted."""
        occurring = (self.labels | self.decisions).any(axis=0)
        return macro_precision_recall_f1(self.decisions[:, occurring], self.labels[:, occurring])

    @cached_property
    def macro_all_classes(self) -> PrecisionRecallF1:
        """Means over all classes; one that neither occurs nor is predicted counts as 0.0."""
        return macro_precision_recall_f1(self.decisions, self.labels)
