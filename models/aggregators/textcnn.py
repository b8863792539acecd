"""TextCNN: filters over windows of tokens, each max-pooled.

Kim 2014, "Convolutional Neural Networks for Sentence Classification", arXiv 1408.5882, section 2. One window
starts at every token and reads zeros after the last one, so that a text shorter than a window counts too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators.base import Aggregator
from models.data.masking import compact, masked_max

if TYPE_CHECKING:
    from collections.abc import Sequence


class TextCnn(Aggregator):
    """Filters of several window widths, max-pooled over the tokens."""

    order_aware = True

    def __init__(
        self,
        input_dim: int,
        *,
        num_channels: int = 32,
        window_widths: Sequence[int] = (2, 3, 4, 5),
    ) -> None:
        super().__init__(input_dim)
        # A filter is a linear map of a whole window: on a CPU about twice as fast as Conv1d for short texts.
        self.filters = nn.ModuleList(nn.Linear(width * input_dim, num_channels) for width in window_widths)
        self.window_widths = tuple(window_widths)
        self.output_dim = num_channels * len(self.window_widths)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, widths * channels)``, zeros for a row without a valid step."""
        packed, front = compact(features, mask)  # (B, L, D)
        pooled = []
        for width, apply_filters in zip(self.window_widths, self.filters, strict=True):
            padded = functional.pad(packed, (0, 0, 0, width - 1))
            windows = padded.unfold(1, width, 1).transpose(2, 3).flatten(2)  # (B, L, width * D)
            pooled.append(masked_max(functional.relu(apply_filters(windows)), front))
        return torch.cat(pooled, dim=1)
