"""The mean of the steps."""

from torch import Tensor

from models.aggregators.base import Aggregator
from models.config.network import NetworkConfig
from models.data.masking import masked_mean


class Mean(Aggregator):
    """Mean over the valid steps; no parameters."""

    order_aware = False

    def __init__(self, input_dim: int) -> None:
        super().__init__(input_dim)
        self.output_dim = input_dim

    @classmethod
    def from_config(cls, input_dim: int, config: NetworkConfig) -> "Mean":  # noqa: ARG003 - has no sizes
        """The mean, whatever `config` says."""
        return cls(input_dim)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, D)`; zeros for a row without a valid step."""
        return masked_mean(features, mask)
