"""Squeeze and excitation over the concatenated vector.

Hu, Shen, Sun 2018, "Squeeze-and-Excitation Networks", arXiv 1709.01507, section 3, applied to a vector (there
is nothing to squeeze) as in the NeXtVLAD paper, arXiv 1811.05014, section 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.fusion.base import Fusion

if TYPE_CHECKING:
    from collections.abc import Sequence


class SeGate(Fusion):
    """x * sigmoid(W2 relu(W1 x)): every unit is weighted by a gate that reads all modalities.

    The zeros of a missing modality add nothing to the gate, and stay zeros.
    """

    def __init__(self, input_dims: Sequence[int], *, reduction: int = 8) -> None:
        super().__init__(input_dims)
        self.output_dim = sum(input_dims)
        bottleneck = max(1, self.output_dim // reduction)
        self.squeeze = nn.Linear(self.output_dim, bottleneck)
        self.excite = nn.Linear(bottleneck, self.output_dim)

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:  # noqa: ARG002 - zeros are kept
        """Return ``(B, sum of D_m)``."""
        joined = torch.cat(list(vectors), dim=1)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(joined))))
        return joined * gate
