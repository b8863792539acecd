"""The loss of one set of answers against the labels."""

import torch
from torch import Tensor

from models.config.training import TrainConfig
from models.data.batching import UNKNOWN_CATEGORY, BatchLabels
from models.heads.logits import Answers
from models.losses import CATEGORY_LOSSES, TAG_LOSSES
from models.losses.class_weights import ClassWeights
from models.losses.counts import LabelCounts, sum_over_known


def answers_loss(
    answers: Answers, labels: BatchLabels, config: TrainConfig, counts: LabelCounts, weights: ClassWeights | None
) -> Tensor:
    """The weighted sum of the losses of the heads that answered, a float32 scalar; 0 without any label."""
    loss = torch.zeros((), device=labels.category.device)
    if answers.category_logits is not None:
        losses = _category_losses(answers.category_logits.float(), labels, config, weights)
        known = labels.category != UNKNOWN_CATEGORY
        loss = loss + config.category_weight * sum_over_known(losses, known, counts.category)
    if answers.tag_logits is not None:
        losses = _tag_losses(answers.tag_logits.float(), labels, config, weights)
        loss = loss + config.tag_weight * sum_over_known(losses, labels.tags_known, counts.tags)
    return loss


def _category_losses(logits: Tensor, labels: BatchLabels, config: TrainConfig, weights: ClassWeights | None) -> Tensor:
    """Each clip's loss, `(B,)`; an unknown category counts as the first one here, and is left out later."""
    category = labels.category.clamp(min=0)
    losses = CATEGORY_LOSSES[config.category_loss](logits, category, config)
    return losses if weights is None else losses * weights.category[category]


def _tag_losses(logits: Tensor, labels: BatchLabels, config: TrainConfig, weights: ClassWeights | None) -> Tensor:
    """Each clip's mean loss over the tags, `(B,)`."""
    losses = TAG_LOSSES[config.tag_loss](logits, labels.tags, config)
    if weights is not None:
        losses = torch.where(labels.tags > 0, losses * weights.tag_positive, losses)
    return losses.mean(dim=1)
