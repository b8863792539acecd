"""Losses of hard labels: of a softmax over the categories, and of a sigmoid for each tag.

For the category, ``logits`` is ``(B, K)`` and ``category`` ``(B,)`` int64, 0 to K - 1; the result is ``(B,)``. For
the tags, ``logits`` is ``(B, C)`` and ``tags`` ``(B, C)`` float, 1 where the clip has the tag and 0 elsewhere; the
result is ``(B, C)``. All are at least 0. Logarithms and powers of a tag's probability are computed from log-sigmoids,
so that no logit is too large.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from models.config.training import TrainConfig

# Replaces a probability of 0 under a power with an exponent below 1, whose gradient at 0 is infinite. It is smaller
# than any 1 - p > 0 in float32.
_SMALLEST = 1e-12


def cross_entropy(logits: Tensor, category: Tensor, config: TrainConfig) -> Tensor:
    """Return the cross entropy of each clip.

    With label smoothing s the target is 1 - s + s / K on the label and s / K elsewhere (Szegedy et al. 2016,
    arXiv 1512.00567, section 7).
    """
    return functional.cross_entropy(logits, category, label_smoothing=config.label_smoothing, reduction="none")


def category_focal(logits: Tensor, category: Tensor, config: TrainConfig) -> Tensor:
    """Return the cross entropy times (1 - p)^gamma, p being the probability of the label.

    Lin et al. 2017, arXiv 1708.02002, section 3.2, with a softmax instead of the sigmoid, and class weights instead of
    alpha. Label smoothing changes the cross entropy, but not p, so that gamma 0 gives ``cross_entropy``.
    """
    log_probability = torch.log_softmax(logits, dim=1).gather(1, category.unsqueeze(1)).squeeze(1)  # (B,)
    missed = (-torch.expm1(log_probability)).clamp(min=_SMALLEST)
    return missed**config.focal_gamma * cross_entropy(logits, category, config)


def binary_cross_entropy(logits: Tensor, tags: Tensor, config: TrainConfig) -> Tensor:  # noqa: ARG001 - steers nothing
    """Return the binary cross entropy of each tag; no setting applies."""
    return functional.binary_cross_entropy_with_logits(logits, tags, reduction="none")


def tag_focal(logits: Tensor, tags: Tensor, config: TrainConfig) -> Tensor:
    """Return the binary cross entropy times (1 - p)^gamma, p being the probability of the label.

    Lin et al. 2017, arXiv 1708.02002, section 3.2, with class weights instead of alpha.
    """
    signed = torch.where(tags > 0, logits, -logits)
    log_right, log_wrong = functional.logsigmoid(signed), functional.logsigmoid(-signed)
    return -torch.exp(config.focal_gamma * log_wrong) * log_right


def asymmetric(logits: Tensor, tags: Tensor, config: TrainConfig) -> Tensor:
    """Return a focal loss with one exponent for present tags, and another and a margin for absent ones.

    Ridnik et al. 2021, arXiv 2009.14119, section 2: -(1 - p)^g log p for a present tag, and
    -q^h log(1 - q) with q = max(p - margin, 0) for an absent one. Gradients flow through the factors, too.
    """
    log_there, log_not = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    positive = -torch.exp(config.asymmetric_positive * log_not) * log_there
    # 1 - q = min(1 - p + margin, 1).
    margin = logits.new_tensor(math.log(config.asymmetric_margin) if config.asymmetric_margin else -math.inf)
    log_not_shifted = torch.logaddexp(log_not, margin).clamp(max=0.0)
    shifted = (-torch.expm1(log_not_shifted)).clamp(min=_SMALLEST)
    negative = -(shifted**config.asymmetric_negative) * log_not_shifted
    return torch.where(tags > 0, positive, negative)
