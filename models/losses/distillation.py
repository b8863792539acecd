"""What a mixture teaches its experts.

Lin, Xiao, Fan 2018, arXiv 1811.05014, section 3.4: each expert learns the labels, and also the softened answers
of the mixture, which is a better classifier than any of them. Softmax over the categories; for tags, each of
which is a choice of its own, the divergence of two coins.
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
    """T^2 times the divergence of the mixture from an expert, mean over the experts, a float32 scalar.

    No gradient goes to the mixture. Only clips whose category, or whose tags, are known count, so that this is
    a mean over the same clips as the other losses; category and tags weigh as they do there.
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
    """The same for the sigmoid of each tag, ``(B, C)`` from logits ``(B, C)``."""
    target, learned = teacher.detach() / temperature, student / temperature
    there = functional.kl_div(
        functional.logsigmoid(learned), functional.logsigmoid(target), reduction="none", log_target=True
    )
    lacking = functional.kl_div(
        functional.logsigmoid(-learned), functional.logsigmoid(-target), reduction="none", log_target=True
    )
    return there + lacking
