"""Modalities hidden at random in training."""

import torch
from torch import Tensor


def drop_modalities(present: Tensor, probability: float) -> Tensor:
    """`present` `(B, M)` bool with each True turned False with `probability`, but never all of a row's.

    A row that would lose everything keeps everything. Draws from torch's default generator, like dropout.
    """
    kept = present & (torch.rand(present.shape, device=present.device) >= probability)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)
