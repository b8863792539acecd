"""What training makes small.

``models.losses.total_loss.total_loss`` adds everything up. The two tables here name the plain losses, which look at
hard labels and give a number for each clip, ``(B,)``, or for each tag of each clip, ``(B, C)``: the means and the
clips that are not known come later, in ``models.losses.head_losses``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.losses import category_loss, tag_losses

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from models.config.training import TrainConfig

CATEGORY_LOSSES: dict[str, Callable[[Tensor, Tensor, TrainConfig], Tensor]] = {
    "cross_entropy": category_loss.cross_entropy,
    "focal": category_loss.focal,
}

TAG_LOSSES: dict[str, Callable[[Tensor, Tensor, TrainConfig], Tensor]] = {
    "asymmetric": tag_losses.asymmetric,
    "binary_cross_entropy": tag_losses.binary_cross_entropy,
    "focal": tag_losses.focal,
}
