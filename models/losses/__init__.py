"""What training makes small.

`models.losses.total.total_loss` adds everything up. The two tables here name the plain losses, which look at
hard labels and give a number for each clip, `(B,)`, or for each tag of each clip, `(B, C)`: the means and the
clips that are not known come later, in `models.losses.answers`.
"""

from collections.abc import Callable

from torch import Tensor

from models.losses import category, tags
from models.train_config import TrainConfig

CATEGORY_LOSSES: dict[str, Callable[[Tensor, Tensor, TrainConfig], Tensor]] = {
    "cross_entropy": category.cross_entropy,
    "focal": category.focal,
}

TAG_LOSSES: dict[str, Callable[[Tensor, Tensor, TrainConfig], Tensor]] = {
    "asymmetric": tags.asymmetric,
    "binary_cross_entropy": tags.binary_cross_entropy,
    "focal": tags.focal,
}
