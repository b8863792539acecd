"""What every fusion has, and the plainest: the vectors one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.config.network import NetworkConfig


class Fusion(nn.Module, ABC):
    """A module from the vectors of M modalities to one vector.

    A modality that a clip lacks comes either as a vector that is learned, which counts like any other, or as
    zeros. A fusion that would make something of zeros has an argument ``leave_out_missing`` and looks at
    ``present`` where it is set.

    Attributes:
        input_dims: Width of each modality's vector.
        output_dim: Width of the output.
    """

    output_dim: int

    def __init__(self, input_dims: Sequence[int]) -> None:
        super().__init__()
        self.input_dims = tuple(input_dims)

    @classmethod
    @abstractmethod
    def from_config(cls, input_dims: Sequence[int], config: NetworkConfig) -> Fusion:
        """The fusion with the sizes that ``config`` gives it, for what ``config.missing`` puts in a gap."""

    @abstractmethod
    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:
        """One vector a clip.

        Args:
            vectors: ``(B, D_m)`` of each modality, in the order of ``input_dims``.
            present: ``(B, M)`` bool, False where the clip lacks the modality.

        Returns:
            ``(B, output_dim)``.
        """


class Concat(Fusion):
    """Concatenation; no parameters. The zeros of a missing modality stay zeros."""

    def __init__(self, input_dims: Sequence[int]) -> None:
        super().__init__(input_dims)
        self.output_dim = sum(input_dims)

    @classmethod
    def from_config(cls, input_dims: Sequence[int], config: NetworkConfig) -> Concat:  # noqa: ARG003 - has no sizes
        """The concatenation, whatever ``config`` says."""
        return cls(input_dims)

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:  # noqa: ARG002 - zeros are kept
        """``(B, sum of D_m)``."""
        return torch.cat(list(vectors), dim=1)
