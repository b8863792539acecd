"""The interface of every tag head, and the plainest one: a logistic regression for each tag."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn


class TagHead(nn.Module, ABC):
    """A module from a vector to the logits of C tags."""

    @abstractmethod
    def forward(self, vector: Tensor) -> Tensor:
        """Return ``(B, C)`` logits, each of a sigmoid, from ``(B, D)``."""


# Makes a tag head from the width of its input and the number of tags.
TagHeadMaker = Callable[[int, int], TagHead]


class LinearTags(TagHead):
    """Logits by one linear layer."""

    def __init__(self, input_dim: int, num_tags: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, num_tags)

    def forward(self, vector: Tensor) -> Tensor:
        """Return ``(B, C)`` logits."""
        logits: Tensor = self.linear(vector)
        return logits
