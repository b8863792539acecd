"""The vectors, one after the other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.config.network import NetworkConfig
from models.fusion.base import Fusion


class Concat(Fusion):
    """Concatenation; no parameters. The zeros of a missing modality stay zeros."""

    def __init__(self, input_dims: Sequence[int]) -> None:
        super().__init__(input_dims)
        self.output_dim = sum(input_dims)

    @classmethod
    def from_config(cls, input_dims: Sequence[int], config: NetworkConfig) -> "Concat":  # noqa: ARG003 - has no sizes
        """The concatenation, whatever `config` says."""
        return cls(input_dims)

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:  # noqa: ARG002 - zeros are kept
        """`(B, sum of D_m)`."""
        return torch.cat(list(vectors), dim=1)
