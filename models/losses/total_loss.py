"""The loss of a network's outputs: of its heads, of the modalities' own heads, and of distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.data.labels import UNKNOWN_CATEGORY
from models.losses.distillation import distillation_loss
from models.losses.head_losses import LabelCounts, logits_loss

if TYPE_CHECKING:
    from models.config.training import TrainConfig
    from models.data.batching import BatchLabels
    from models.heads.logits import Outputs
    from models.losses.class_weights import ClassWeights


def total_loss(
    outputs: Outputs,
    labels: BatchLabels,
    config: TrainConfig,
    *,
    counts: LabelCounts | None = None,
    weights: ClassWeights | None = None,
) -> Tensor:
    """Return the loss of a batch, a float32 scalar; 0, with gradients of 0, when no label is known.

    Args:
        outputs: Of the network; if there are branches, the loss is that of each branch instead of the logits.
        labels: The true labels.
        config: Which losses, and their factors.
        counts: Clips that sums are divided by; None counts those of ``labels``.
        weights: Weights of the classes; None weights all equally.
    """
    if counts is None:
        counts = LabelCounts.of(labels)
    loss = torch.zeros((), device=labels.category.device)
    for logits in outputs.branches or (outputs.logits,):
        loss = loss + logits_loss(logits, labels, config, counts, weights)
    if outputs.modalities:
        loss = loss + config.auxiliary_weight * _modalities_loss(outputs, labels, config, counts, weights)
    if outputs.experts:
        distilled = distillation_loss(outputs.logits, outputs.experts, labels, config, counts)
        for logits in outputs.experts:
            distilled = distilled + logits_loss(logits, labels, config, counts, weights) / len(outputs.experts)
        loss = loss + config.distillation_weight * distilled
    return loss


def _modalities_loss(
    outputs: Outputs, labels: BatchLabels, config: TrainConfig, counts: LabelCounts, weights: ClassWeights | None
) -> Tensor:
    """Return the mean of the losses of the modalities' own heads; a clip without the modality adds 0."""
    loss = torch.zeros((), device=labels.category.device)
    for logits, present in zip(outputs.modalities.values(), outputs.present.unbind(dim=1), strict=True):
        loss = loss + logits_loss(logits, _known_where(labels, present), config, counts, weights)
    return loss / len(outputs.modalities)


def _known_where(labels: BatchLabels, present: Tensor) -> BatchLabels:
    """Return the labels without those of the clips where ``present`` ``(B,)`` is False."""
    return replace(
        labels,
        category=labels.category.masked_fill(~present, UNKNOWN_CATEGORY),
        tags_known=labels.tags_known & present,
    )


def flood(loss: Tensor, level: float, global_loss: float | None = None) -> Tensor:
    """Return |loss - b| + b for the level b, a scalar: below the level, gradients point the other way.

    Ishida et al. 2020, arXiv 2002.08709. Level 0 changes nothing, since no loss is below 0.

    Args:
        loss: Of this process.
        level: b; at least 0.
        global_loss: The mean of the loss over all processes, which decides the side of the level for all of
            them; None when there is one process.
    """
    if level == 0:
        return loss
    if global_loss is None:
        return (loss - level).abs() + level
    side = 1.0 if global_loss >= level else -1.0
    return side * (loss - level) + level
