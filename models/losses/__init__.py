"""Losses of training: two tables ``name -> function``.

The functions compare logits with hard labels and return one number for each clip, ``(B,)``, or for each tag of each
clip, ``(B, C)``. ``models.losses.head_losses`` masks unknown labels and averages; ``models.losses.total_loss`` adds up
all losses of a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from features.base.lazy_table import LazyTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from models.config.training import TrainConfig

# (logits, labels, settings) -> losses
Loss: TypeAlias = "Callable[[Tensor, Tensor, TrainConfig], Tensor]"

CATEGORY_LOSSES: LazyTable[Loss] = LazyTable(
    {
        "cross_entropy": "models.losses.label_losses:cross_entropy",
        "focal": "models.losses.label_losses:category_focal",
    }
)

TAG_LOSSES: LazyTable[Loss] = LazyTable(
    {
        "asymmetric": "models.losses.label_losses:asymmetric",
        "binary_cross_entropy": "models.losses.label_losses:binary_cross_entropy",
        "focal": "models.losses.label_losses:tag_focal",
    }
)
