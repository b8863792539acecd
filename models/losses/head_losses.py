"""The loss of one set of logits against the labels: means over the clips with a known label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.data.labels import UNKNOWN_CATEGORY
from models.losses import CATEGORY_LOSSES, TAG_LOSSES

if TYPE_CHECKING:
    from models.config.training import TrainConfig
    from models.data.batching import BatchLabels
    from models.heads.logits import Logits
    from models.losses.class_weights import ClassWeights


@dataclass(frozen=True)
class LabelCounts:
    """The divisors of sums of losses: numbers of clips with a known label.

    When several processes share a batch, each divides by the number in the whole batch over the number of
    processes: then the mean of their gradients is the gradient of the whole batch's mean.

    Attributes:
        category: Clips whose category is known; at least 0.
        tags: Clips whose tags are known; at least 0.
    """

    category: float
    tags: float

    @classmethod
    def of(cls, labels: BatchLabels) -> LabelCounts:
        """Return the counts of one batch."""
        return cls(float((labels.category != UNKNOWN_CATEGORY).sum()), float(labels.tags_known.sum()))


def sum_over_known(losses: Tensor, known: Tensor, count: float) -> Tensor:
    """Return the sum of losses ``(B,)`` where ``known`` ``(B,)``, divided by ``count``; 0 when nothing is known."""
    return losses.masked_fill(~known, 0.0).sum() / (count or 1.0)


def logits_loss(
    logits: Logits, labels: BatchLabels, config: TrainConfig, counts: LabelCounts, weights: ClassWeights | None
) -> Tensor:
    """Return the weighted sum of the losses of the heads that exist, a float32 scalar; 0 without any label."""
    loss = torch.zeros((), device=labels.category.device)
    if logits.category_logits is not None:
        losses = _category_losses(logits.category_logits.float(), labels, config, weights)
        known = labels.category != UNKNOWN_CATEGORY
        loss = loss + config.category_weight * sum_over_known(losses, known, counts.category)
    if logits.tag_logits is not None:
        losses = _tag_losses(logits.tag_logits.float(), labels, config, weights)
        loss = loss + config.tag_weight * sum_over_known(losses, labels.tags_known, counts.tags)
    return loss


def _category_losses(logits: Tensor, labels: BatchLabels, config: TrainConfig, weights: ClassWeights | None) -> Tensor:
    """Return each clip's loss, ``(B,)``; the caller masks out that of an unknown category."""
    category = labels.category.clamp(min=0)
    losses = CATEGORY_LOSSES[config.category_loss](logits, category, config)
    return losses if weights is None else losses * weights.category[category]


def _tag_losses(logits: Tensor, labels: BatchLabels, config: TrainConfig, weights: ClassWeights | None) -> Tensor:
    """Return each clip's mean loss over the tags, ``(B,)``."""
    losses = TAG_LOSSES[config.tag_loss](logits, labels.tags, config)
    if weights is not None:
        losses = torch.where(labels.tags > 0, losses * weights.tag_positive, losses)
    return losses.mean(dim=1)
