"""TRN-X: one small network over the steps in their order, beside attention over all of them.

Evenly picked steps are reduced, laid side by side and read by a network of two layers, as one relation of the
largest scale (Zhou et al. 2018, arXiv 1711.08496, section 3.1) that has a fixed place for every step. The steps
between them are not lost: the gated attention of ``models.aggregators.pooling`` over all steps is added as a residual.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators.base import Aggregator
from models.aggregators.pooling import GatedAttention
from models.aggregators.trn import pick_segments
from models.data.masking import zero_padding


class TemporalSegments(Aggregator):
    """A dense network over the segments of a clip, plus its attention pooling.

    A clip with more than ``num_segments`` valid steps gives the middle step of each of ``num_segments`` even parts, or
    in training, with ``random_steps``, a random one. In a shorter clip step i is segment i, and the segments that it
    lacks are zeros.

    Args:
        input_dim: D.
        num_segments: S.
        num_neighbours: Segments before and after each one that are averaged with it; 0 averages none.
        width: Of a reduced step and of the hidden layer.
        output_width: Of the output; None = 2 * ``width``.
        attention_width: Of the attention's hidden layer.
        dropout: Share of the units of the side-by-side segments that is dropped in training.
        random_steps: See above.
    """

    order_aware = True

    def __init__(
        self,
        input_dim: int,
        *,
        num_segments: int = 8,
        num_neighbours: int = 0,
        width: int = 128,
        output_width: int | None = None,
        attention_width: int = 128,
        dropout: float = 0.0,
        random_steps: bool = False,
    ) -> None:
        super().__init__(input_dim)
        self.num_segments = num_segments
        self.num_neighbours = num_neighbours
        self.random_steps = random_steps
        self.output_dim = 2 * width if output_width is None else output_width
        self.reduce = nn.Linear(input_dim, width)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(num_segments * width, width)
        self.project = nn.Linear(width, self.output_dim)
        self.pool = GatedAttention(input_dim, width=attention_width)
        self.residual = nn.Linear(input_dim, self.output_dim)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, output_width)``."""
        at_random = self.training and self.random_steps
        segments, lengths = pick_segments(features, mask, self.num_segments, at_random=at_random)
        is_segment = torch.arange(segments.shape[1], device=segments.device) < lengths.unsqueeze(1)  # (B, L)
        # The mean of neighbours commutes with a linear map, and is cheaper after it.
        reduced = average_neighbours(self.reduce(segments), is_segment, self.num_neighbours)
        steps = zero_padding(functional.relu(reduced), is_segment)  # (B, L, width)
        placed = functional.pad(steps, (0, 0, 0, self.num_segments - steps.shape[1]))  # (B, S, width)
        hidden = functional.relu(self.hidden(self.dropout(placed.flatten(1))))
        return functional.relu(self.project(hidden) + self.residual(self.pool(features, mask)))


def average_neighbours(steps: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Return the mean of each step and of up to ``reach`` valid steps on either side, ``(B, T, D)``.

    A step under a False of ``mask`` ``(B, T)`` enters no mean; the output there is arbitrary.
    """
    if reach == 0:
        return steps
    padding = (0, 0, reach, reach)
    windows = functional.pad(zero_padding(steps, mask), padding).unfold(1, 2 * reach + 1, 1)  # (B, T, D, window)
    present = functional.pad(mask.unsqueeze(2).to(steps.dtype), padding).unfold(1, 2 * reach + 1, 1)
    return windows.sum(dim=3) / present.sum(dim=3).clamp(min=1)
