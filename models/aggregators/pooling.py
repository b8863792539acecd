"""Pooling that is blind to the order of the steps: mean, maximum, and gated attention.

Gated attention is a weighted mean whose weights the steps give themselves.

Ilse, Tomczak, Welling 2018, "Attention-based Deep Multiple Instance Learning", arXiv 1802.04712, equation 9: step h
weighs softmax over the steps of w^T (tanh(V h) * sigmoid(U h)). As in the equation, V, U and w have no bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.aggregators.base import Aggregator
from models.aggregators.onednn_linear import dense
from models.data.masking import masked_max, masked_mean, masked_softmax, place_rows, valid_rows, zero_padding


class Mean(Aggregator):
    """Mean over the valid steps; no parameters."""

    order_aware = False

    def __init__(self, input_dim: int) -> None:
        super().__init__(input_dim)
        self.output_dim = input_dim

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, D)``; zeros for a row without a valid step."""
        return masked_mean(features, mask)


class Max(Aggregator):
    """Largest value over the valid steps; no parameters."""

    order_aware = False

    def __init__(self, input_dim: int) -> None:
        super().__init__(input_dim)
        self.output_dim = input_dim

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, D)``; zeros for a row without a valid step."""
        return masked_max(features, mask)


class GatedAttention(Aggregator):
    """The mean of the valid steps, weighted by gated attention; blind to their order."""

    order_aware = False

    def __init__(self, input_dim: int, *, width: int = 128) -> None:
        super().__init__(input_dim)
        self.output_dim = input_dim
        # V above U: one product for both.
        self.hidden = nn.Linear(input_dim, 2 * width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, D)``; zeros for a row without a valid step."""
        rows = valid_rows(features, mask)
        content, gate = dense(rows, self.hidden.weight).chunk(2, dim=1)  # (rows, width) each
        scores = self.score(torch.tanh(content) * torch.sigmoid(gate))  # (rows, 1)
        weights = masked_softmax(place_rows(scores, mask).squeeze(2), mask)
        return torch.einsum("bt,btd->bd", weights, zero_padding(features, mask))
