"""Distillation of a mixture into its experts.

Lin, Xiao, Fan 2018, arXiv 1811.05014, section 3.4: each expert learns the labels, and also the softened probabilities
of the mixture, which is a better classifier than any of them. The divergence is that of two softmaxes for the
category, and of two Bernoulli distributions for each tag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from models.data.labels import UNKNOWN_CATEGORY
from models.losses.head_losses import LabelCounts, sum_over_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.config.training import TrainConfig
    from models.data.batching import BatchLabels
    from models.heads.logits import Logits


def distillation_loss(
    mixture: Logits, experts: Sequence[Logits], labels: BatchLabels, config: TrainConfig, counts: LabelCounts
) -> Tensor:
    """Return T^2 times the divergence of the mixture from an expert, mean over the experts, a float32 scalar.

    No gradient flows into the mixture. Clips without a known category, or known tags, are left out, so that this is
    a mean over the same clips as the other losses, with the same weights of category and tags.
    """
    loss = torch.zeros((), device=labels.category.device)
    temperature = config.distillation_temperature
    for expert in experts:
        if mixture.category_logits is not None and expert.category_logits is not None:
            each = category_divergence(mixture.category_logits.float(), expert.category_logits.float(), temperature)
            known = labels.category != UNKNOWN_CATEGORY
            loss = loss + config.category_weight * sum_over_known(each, known, counts.category)
        if mixture.tag_logits is not None and expert.tag_logits is not None:
            each = tag_divergence(mixture.tag_logits.float(), expert.tag_logits.float(), temperature).mean(dim=1)
            loss = loss + config.tag_weight * sum_over_known(each, labels.tags_known, counts.tags)
    return temperature**2 * loss / len(experts)


def category_divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Return KL(softmax(teacher / T) || softmax(student / T)), ``(B,)`` from logits ``(B, K)``."""
    target = torch.log_softmax(teacher.detach() / temperature, dim=1)
    learned = torch.log_softmax(student / temperature, dim=1)
    return functional.kl_div(learned, target, reduction="none", log_target=True).sum(dim=1)


def tag_divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Return the divergence of the sigmoids of each tag, ``(B, C)`` from logits ``(B, C)``."""
    target, learned = teacher.detach() / temperature, student / temperature
    there = functional.kl_div(
        functional.logsigmoid(learned), functional.logsigmoid(target), reduction="none", log_target=True
    )
    lacking = functional.kl_div(
        functional.logsigmoid(-learned), functional.logsigmoid(-target), reduction="none", log_target=True
    )
    return there + lacking
