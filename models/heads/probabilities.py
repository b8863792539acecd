"""From the logits of an answer to its probabilities."""

import torch
from torch import Tensor


def category_probabilities(logits: Tensor) -> Tensor:
    """`(B, K)` in 0..1, each row adding up to 1."""
    return torch.softmax(logits.float(), dim=1)


def tag_probabilities(logits: Tensor) -> Tensor:
    """`(B, C)` in 0..1, each by itself."""
    return torch.sigmoid(logits.float())
