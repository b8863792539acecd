"""What every aggregator has, and the two plainest: the mean and the maximum of the steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from models.data.masking import masked_max, masked_mean

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
        """The aggregator with the sizes that ``config`` gives it."""

    @abstractmethod
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """One vector a clip, ``(B, output_dim)``, from features ``(B, T, D)`` and mask ``(B, T)``."""


class Mean(Aggregator):
    """Mean over the valid steps; no parameters."""

    order_aware = False

    def __init__(self, input_dim: int) -> None:
        super().__init__(input_dim)
        self.output_dim = input_dim

    @classmethod
    def from_config(cls, input_dim: int, config: NetworkConfig) -> Mean:  # noqa: ARG003 - has no sizes
        """The mean, whatever ``config`` says."""
        return cls(input_dim)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``(B, D)``; zeros for a row without a valid step."""
        return masked_mean(features, mask)


class Max(Aggregator):
    """Largest value over the valid steps; no parameters."""

    order_aware = False

    def __init__(self, input_dim: int) -> None:
        super().__init__(input_dim)
        self.output_dim = input_dim

    @classmethod
    def from_config(cls, input_dim: int, config: NetworkConfig) -> Max:  # noqa: ARG003 - has no sizes
        """The maximum, whatever ``config`` says."""
        return cls(input_dim)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``(B, D)``; zeros for a row without a valid step."""
        return masked_max(features, mask)
