"""The interface of every aggregator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class Aggregator(nn.Module, ABC):
    """A module from the steps of a clip to one vector.

    Attributes:
        order_aware: Whether the order of the steps can change the output.
        output_dim: Width of the output.
    """

    order_aware: ClassVar[bool]
    output_dim: int

    def __init__(self, input_dim: int) -> None:
        super().__init__()
        self.input_dim = input_dim

    @abstractmethod
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return one vector a clip, ``(B, output_dim)``, from features ``(B, T, D)`` and mask ``(B, T)``."""
