"""NeXtVLAD: grouped soft assignment of the steps to clusters.

Lin, Xiao, Fan 2018, "NeXtVLAD: An Efficient Neural Network to Aggregate Frame-level Features for Large-scale
Video Classification", arXiv 1811.05014, section 3.2. With N = ``input_dim`` and the paper's names, the module
has lambda N (N + G + K (G + (H + 1) / G)) weights, the count of the paper's section 3.3, and besides them
the biases of the expansion (lambda N) and of the attention (G) and the scales and shifts of the three batch
norms (2 G K + 2 K lambda N / G + 2 H). The assignment has no bias: its batch norm shifts it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators.base import Aggregator
from models.aggregators.onednn_linear import dense, fast_layout, plain_layout
from models.data.masking import MaskedBatchNorm, place_rows, valid_rows


class NeXtVlad(Aggregator):
    """NeXtVLAD with its group attention and masked batch norms; blind to the order of the steps."""

    order_aware = False

    def __init__(
        self,
        input_dim: int,
        *,
        num_clusters: int = 16,
        num_groups: int = 4,
        expansion: int = 2,
        output_width: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(input_dim)
        self.num_clusters = num_clusters
        self.num_groups = num_groups
        # Rounded up, so that any backbone's width splits into the groups.
        self.group_width = -(-expansion * input_dim // num_groups)
        self.output_dim = output_width
        expanded_width = self.group_width * num_groups
        descriptor_width = num_clusters * self.group_width
        self.expand = nn.Linear(input_dim, expanded_width)
        self.attend = nn.Linear(expanded_width, num_groups)
        self.assign = nn.Linear(expanded_width, num_groups * num_clusters, bias=False)
        self.assign_norm = MaskedBatchNorm(num_groups * num_clusters)
        self.centers = nn.Parameter(torch.empty(num_clusters, self.group_width))
        nn.init.normal_(self.centers, std=self.group_width**-0.5)
        self.descriptor_norm = MaskedBatchNorm(descriptor_width)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(descriptor_width, output_width, bias=False)
        self.output_norm = MaskedBatchNorm(output_width)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, H)``, zeros for a row without a valid step."""
        present = mask.any(dim=1)
        descriptor = self.dropout(self.descriptor_norm(self.compute_descriptor(features, mask), present))
        output: Tensor = functional.relu(self.output_norm(dense(descriptor, self.project.weight), present))
        return output

    def compute_descriptor(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the intra-normalised residuals, ``(B, K lambda N / G)``: equations 2 to 4 of the paper.

        Padding is left out of the computation. The sum over steps and groups of a (x - c) is split
        into the sum of a x, one matrix product, and c times the sum of a; the residuals of all steps and
        clusters are never in memory at once.
        """
        num_clips, num_steps, _ = features.shape
        rows = fast_layout(valid_rows(features, mask), self.expand.out_features)
        expanded = functional.linear(rows, self.expand.weight, self.expand.bias)  # (rows, G lambda N / G)
        weights = place_rows(self._assign(expanded), mask)  # (B, T, G K), zero in the padding
        weights = weights.view(num_clips, num_steps * self.num_groups, self.num_clusters)
        grouped = place_rows(plain_layout(expanded), mask)  # (B, T, G lambda N / G)
        grouped = grouped.view(num_clips, num_steps * self.num_groups, self.group_width)
        weighted_sum = weights.transpose(1, 2) @ grouped  # (B, K, lambda N / G)
        residuals = weighted_sum - weights.sum(dim=1).unsqueeze(-1) * self.centers
        return functional.normalize(residuals, dim=-1).flatten(1)

    def _assign(self, expanded: Tensor) -> Tensor:
        """Return the weight of each group of each row in each cluster, ``(rows, G K)``."""
        # One product for both: the expanded rows and their gradient are large, and so are read once, not twice.
        weight = torch.cat([self.attend.weight, self.assign.weight])
        both = plain_layout(functional.linear(expanded, weight))  # (rows, G + G K)
        attention = torch.sigmoid(both[:, : self.num_groups] + self.attend.bias)  # (rows, G)
        logits = self.assign_norm(both[:, self.num_groups :]).unflatten(1, (self.num_groups, self.num_clusters))
        return (torch.softmax(logits, dim=2) * attention.unsqueeze(2)).flatten(1)
