"""The loss of a network's outputs: its answers, the modalities' own heads, and the teaching of a mixture."""

from dataclasses import replace

import torch
from torch import Tensor

from models.config.training import TrainConfig
from models.data.batching import UNKNOWN_CATEGORY, BatchLabels
from models.heads.logits import Outputs
from models.losses.class_weights import ClassWeights
from models.losses.counts import LabelCounts
from models.losses.distillation import distillation_loss
from models.losses.head_losses import answers_loss


def total_loss(
    outputs: Outputs,
    labels: BatchLabels,
    config: TrainConfig,
    *,
    counts: LabelCounts | None = None,
    weights: ClassWeights | None = None,
) -> Tensor:
    """The loss of a batch, a float32 scalar; 0, with gradients of 0, when no label is known.

    Args:
        outputs: What the network says; where there are branches, each has its loss, in the stead of the
            answers.
        labels: What is true.
        config: Which losses, and their factors.
        counts: Clips that sums are divided by; None counts those of `labels`.
        weights: Weights of the classes; None weighs all the same.
    """
    if counts is None:
        counts = LabelCounts.of(labels)
    loss = torch.zeros((), device=labels.category.device)
    for answers in outputs.branches or (outputs.answers,):
        loss = loss + answers_loss(answers, labels, config, counts, weights)
    if outputs.modalities:
        loss = loss + config.auxiliary_weight * _modalities_loss(outputs, labels, config, counts, weights)
    if outputs.experts:
        taught = distillation_loss(outputs.answers, outputs.experts, labels, config, counts)
        for answers in outputs.experts:
            taught = taught + answers_loss(answers, labels, config, counts, weights) / len(outputs.experts)
        loss = loss + config.distillation_weight * taught
    return loss


def _modalities_loss(
    outputs: Outputs, labels: BatchLabels, config: TrainConfig, counts: LabelCounts, weights: ClassWeights | None
) -> Tensor:
    """Mean over the modalities of their own heads' losses; a clip without the modality adds 0 to its sum."""
    loss = torch.zeros((), device=labels.category.device)
    for answers, present in zip(outputs.modalities.values(), outputs.present.unbind(dim=1), strict=True):
        loss = loss + answers_loss(answers, _known_where(labels, present), config, counts, weights)
    return loss / len(outputs.modalities)


def _known_where(labels: BatchLabels, present: Tensor) -> BatchLabels:
    """The labels without those of the clips where `present` `(B,)` is False."""
    return replace(
        labels,
        category=labels.category.masked_fill(~present, UNKNOWN_CATEGORY),
        tags_known=labels.tags_known & present,
    )
