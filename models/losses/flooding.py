"""A lower bound that the training loss is kept near."""

from torch import Tensor


def flood(loss: Tensor, level: float, global_loss: float | None = None) -> Tensor:
    """|loss - b| + b for the level b, a scalar: below the level, gradients point the other way.

    Ishida et al. 2020, arXiv 2002.08709. Level 0 changes nothing, since no loss is below 0.

    Args:
        loss: Of this process.
        level: b; at least 0.
        global_loss: The mean of the loss over all processes, which then decides on which side of the level
            they all are; None when there is one process.
    """
    if level == 0:
        return loss
    if global_loss is None:
        return (loss - level).abs() + level
    side = 1.0 if global_loss >= level else -1.0
    return side * (loss - level) + level
