"""Means over the clips of which something is known."""

from dataclasses import dataclass

from torch import Tensor

from models.data.batching import UNKNOWN_CATEGORY, BatchLabels


@dataclass(frozen=True)
class LabelCounts:
    """The number of clips that sums of losses are divided by.

    When several processes share a batch, each divides by the number in the whole batch over the number of
    processes: then the mean of their gradients is the gradient of the whole batch's mean.

    Attributes:
        category: Clips whose category is known; at least 0.
        tags: Clips whose tags are known; at least 0.
    """

    category: float
    tags: float

    @classmethod
    def of(cls, labels: BatchLabels) -> "LabelCounts":
        """The counts of one batch."""
        return cls(float((labels.category != UNKNOWN_CATEGORY).sum()), float(labels.tags_known.sum()))


def sum_over_known(losses: Tensor, known: Tensor, count: float) -> Tensor:
    """The sum of losses `(B,)` where `known` `(B,)`, divided by `count`, a scalar; 0 when nothing is known."""
    return losses.masked_fill(~known, 0.0).sum() / (count or 1.0)
