"""Losses of a softmax over the categories, one number for each clip.

Everywhere ``logits`` is ``(B, K)``, and ``category`` ``(B,)`` int64, 0 to K - 1. The result is ``(B,)``, at least 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from models.config.training import TrainConfig

# Smaller than any 1 - p > 0 in float32. It bounds the gradient of a power with an exponent below 1.
_SMALLEST = 1e-12


def cross_entropy(logits: Tensor, category: Tensor, config: TrainConfig) -> Tensor:
    """Return the cross entropy of each clip.

    With label smoothing s the target is 1 - s + s / K on the label and s / K elsewhere (Szegedy et al. 2016,
    arXiv 1512.00567, section 7).
    """
    return functional.cross_entropy(logits, category, label_smoothing=config.label_smoothing, reduction="none")


def focal(logits: Tensor, category: Tensor, config: TrainConfig) -> Tensor:
    """Return the cross entropy times (1 - p)^gamma, p being the probability of the label.

    Lin et al. 2017, arXiv 1708.02002, section 3.2, with a softmax instead of the sigmoid, and class weights instead of
    alpha. Label smoothing changes the cross entropy, but not p, so that gamma 0 gives ``cross_entropy``.
    """
    log_probability = torch.log_softmax(logits, dim=1).gather(1, category.unsqueeze(1)).squeeze(1)  # (B,)
    missed = (-torch.expm1(log_probability)).clamp(min=_SMALLEST)
    return missed**config.focal_gamma * cross_entropy(logits, category, config)
