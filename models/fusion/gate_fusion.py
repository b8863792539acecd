"""One gate over dense layers of the modalities, beside the modalities themselves.

After Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion", arXiv 1702.01992, section 3.1, with
two differences: one gate, computed from all modalities, multiplies each modality's dense vector (the paper
has a gate a modality), and the inputs are part of the output, beside the gated sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.fusion.base import Fusion

if TYPE_CHECKING:
    from collections.abc import Sequence


class GateFusion(Fusion):
    """``[sum over m of z * tanh(W_m x_m), x]`` with z = sigmoid(W x), where x is all vectors concatenated.

    Args:
        input_dims: Width of each modality's vector.
        width: Width of the gate and of each dense vector.
        missing: ``masked`` leaves a missing modality out of the sum, to which the bias of its dense layer would
            contribute; ``learned`` treats its vector like any other.
    """

    def __init__(self, input_dims: Sequence[int], *, width: int = 128, missing: str = "learned") -> None:
        super().__init__(input_dims)
        self.leave_out_missing = missing == "masked"
        self.dense = nn.ModuleList(nn.Linear(input_dim, width) for input_dim in input_dims)
        self.gate = nn.Linear(sum(input_dims), width)
        self.output_dim = width + sum(input_dims)

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:
        """Return ``(B, width + sum of D_m)``: the gated sum, then the vectors."""
        joined = torch.cat(list(vectors), dim=1)
        gate = torch.sigmoid(self.gate(joined))
        layers = zip(self.dense, vectors, strict=True)
        dense = torch.stack([torch.tanh(layer(vector)) for layer, vector in layers], dim=1)  # (B, M, width)
        if self.leave_out_missing:
            dense = dense * present.unsqueeze(-1)
        gated = gate.unsqueeze(1) * dense
        return torch.cat([gated.sum(dim=1), joined], dim=1)
