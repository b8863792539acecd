"""What training makes small.

``models.losses.total_loss.total_loss`` adds everything up. The two tables here name the plain losses, which look at
hard labels and give a number for each clip, ``(B,)``, or for each tag of each clip, ``(B, C)``: the means and the
clips that are not known come later, in ``models.losses.head_losses``.
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
        "cross_entropy": "models.losses.category_loss:cross_entropy",
        "focal": "models.losses.category_loss:focal",
    }
)

TAG_LOSSES: LazyTable[Loss] = LazyTable(
    {
        "asymmetric": "models.losses.tag_losses:asymmetric",
        "binary_cross_entropy": "models.losses.tag_losses:binary_cross_entropy",
        "focal": "models.losses.tag_losses:focal",
    }
)
