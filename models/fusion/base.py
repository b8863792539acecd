"""The interface of every fusion, and the plainest one: concatenation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fusion(nn.Module, ABC):
    """A module from the vectors of M modalities to one vector.

    The vector of a missing modality is either learned, and counts like any other, or zeros. A fusion whose output
    would depend on the zeros has an argument ``missing``, and reads ``present`` if it is ``masked``.

    Attributes:
        input_dims: Width of each modality's vector.
        output_dim: Width of the output.
    """

    output_dim: int

    def __init__(self, input_dims: Sequence[int]) -> None:
        super().__init__()
        self.input_dims = tuple(input_dims)

    @abstractmethod
    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:
        """Return one vector a clip.

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

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:  # noqa: ARG002 - zeros are kept
        """Return ``(B, sum of D_m)``."""
        return torch.cat(list(vectors), dim=1)
