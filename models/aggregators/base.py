"""The interface of every aggregator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from models.config.network import NetworkConfig


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

    @classmethod
    @abstractmethod
    def from_config(cls, input_dim: int, config: NetworkConfig) -> Aggregator:
        """Return the aggregator with the sizes that ``config`` gives it."""

    @abstractmethod
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return one vector a clip, ``(B, output_dim)``, from features ``(B, T, D)`` and mask ``(B, T)``."""
