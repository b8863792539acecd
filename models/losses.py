"""Losses that leave out what is not known."""

import torch
from torch import Tensor
from torch.nn import functional

from models.batching import UNKNOWN_CATEGORY, BatchLabels
from models.config import TrainConfig
from models.network import Outputs


def category_loss(logits: Tensor, category: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy over the clips with a known category, a scalar; 0 when there is none.

    With smoothing s the target is 1 - s + s / K on the label and s / K elsewhere (Szegedy et al. 2016,
    arXiv 1512.00567, section 7).

    Args:
        logits: `(B, K)`.
        category: `(B,)` int64, -1 where it is not known.
        label_smoothing: s, 0 to below 1.
    """
    total = functional.cross_entropy(
        logits,
        category,
        ignore_index=UNKNOWN_CATEGORY,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (category != UNKNOWN_CATEGORY).sum().clamp(min=1)


def tag_loss(logits: Tensor, tags: Tensor, tags_known: Tensor) -> Tensor:
    """Mean binary cross entropy over the tags of the clips whose tags are known, a scalar; 0 without any.

    Args:
        logits: `(B, C)`.
        tags: `(B, C)` float, 1 where the clip has the tag.
        tags_known: `(B,)` bool.
    """
    each = functional.binary_cross_entropy_with_logits(logits, tags, reduction="none").mean(dim=1)
    return each.masked_fill(~tags_known, 0.0).sum() / tags_known.sum().clamp(min=1)


def total_loss(outputs: Outputs, labels: BatchLabels, config: TrainConfig) -> Tensor:
    """The weighted sum of the losses of the heads that the network has, a scalar."""
    loss = torch.zeros((), device=outputs.embedding.device)
    if outputs.category_logits is not None:
        smoothed = category_loss(outputs.category_logits, labels.category, label_smoothing=config.label_smoothing)
        loss = loss + config.category_weight * smoothed
    if outputs.tag_logits is not None:
        loss = loss + config.tag_weight * tag_loss(outputs.tag_logits, labels.tags, labels.tags_known)
    return loss
