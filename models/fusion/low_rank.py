"""Low-rank multimodal fusion: products of all modalities without their outer product.

Liu et al. 2018, "Efficient Low-rank Multimodal Fusion with Modality-Specific Factors", arXiv 1806.00064,
section 3.2. The fusion is h = W . (z_1 x ... x z_M) + b over the outer product of the vectors, each with a 1
appended, where the weight tensor W is a sum of R products of one factor a modality. Then h is, with ``*`` unit by
unit, the sum over r of (w_1r z_1) * ... * (w_Mr z_M), plus b.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.fusion.base import Fusion

if TYPE_CHECKING:
    from collections.abc import Sequence


class LowRank(Fusion):
    """The fusion of the paper.

    Args:
        input_dims: Width of each modality's vector.
        width: Width of the output.
        rank: R, the number of products that are summed.
        missing: ``masked`` makes the factor of a missing modality 1, as if it did not exist; ``learned`` treats its
            vector like any other.
    """

    def __init__(self, input_dims: Sequence[int], *, width: int = 128, rank: int = 4, missing: str = "learned") -> None:
        super().__init__(input_dims)
        self.leave_out_missing = missing == "masked"
        self.output_dim = width
        self.factors = nn.ParameterList(torch.empty(rank, input_dim + 1, width) for input_dim in input_dims)
        self.bias = nn.Parameter(torch.empty(width))
        self._initialise(rank)

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> Tensor:
        """Return ``(B, width)``."""
        columns = zip(vectors, self.factors, present.unbind(dim=1), strict=True)
        product = reduce(torch.mul, [self._project(*column) for column in columns])  # (B, R, width)
        return product.sum(dim=1) + self.bias

    def _project(self, vector: Tensor, factor: Tensor, present: Tensor) -> Tensor:
        """Return one modality's factors ``(B, R, width)`` from its vector ``(B, D_m)`` and ``present`` ``(B,)``."""
        extended = functional.pad(vector, (0, 1), value=1.0)  # (B, D_m + 1)
        projected = torch.einsum("bd,rdw->brw", extended, factor)
        return projected.masked_fill(~present[:, None, None], 1.0) if self.leave_out_missing else projected

    def _initialise(self, rank: int) -> None:
        """Set factors near 1 and a bias of -R: the output starts around 0, with a variance near 1.

        A product of factors around 0 vanishes: at a variance of 1/3 each, five give 0.004. Instead every
        factor is 1 + e with e of variance 1 / (R M) for a vector of variance 1, so that a product is
        1 + (sum of the e) + (their products), and the sum of R such has the variance R ((1 + 1 / (R M))^M - 1).
        """
        for input_dim, factor in zip(self.input_dims, self.factors, strict=True):
            deviation = (input_dim * rank * len(self.input_dims)) ** -0.5
            nn.init.normal_(factor[:, :-1], std=deviation)
            nn.init.ones_(factor[:, -1])
        nn.init.constant_(self.bias, -rank)
