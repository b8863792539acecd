"""The two answers of a network: one category of many, and any number of tags."""

import torch
from torch import Tensor, nn


class CategoryHead(nn.Module):
    """Logits of a softmax over K categories."""

    def __init__(self, input_dim: int, num_categories: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, num_categories)

    def forward(self, embedding: Tensor) -> Tensor:
        """`(B, K)` logits from `(B, E)`."""
        logits: Tensor = self.linear(embedding)
        return logits


class TagHead(nn.Module):
    """Logits of C independent sigmoids."""

    def __init__(self, input_dim: int, num_tags: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, num_tags)

    def forward(self, embedding: Tensor) -> Tensor:
        """`(B, C)` logits from `(B, E)`."""
        logits: Tensor = self.linear(embedding)
        return logits


def category_probabilities(logits: Tensor) -> Tensor:
    """`(B, K)` in 0..1, each row adding up to 1."""
    return torch.softmax(logits.float(), dim=1)


def tag_probabilities(logits: Tensor) -> Tensor:
    """`(B, C)` in 0..1, each by itself."""
    return torch.sigmoid(logits.float())
