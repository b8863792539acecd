"""TRN: the multi-scale temporal relation network.

Zhou, Andonian, Oliva, Torralba 2018, "Temporal Relational Reasoning in Videos", arXiv 1711.08496, equations 1 and 2:
T_d = h_d(sum of g_d(f_i, f_j, ...) over ordered choices of d steps), and the output is T_2 + T_3 + ... up to the
largest scale. Each scale has its own g, a network of two layers, and its own h, a linear map.

As in the paper, the steps are first reduced by a dense layer (there from 1,024 to 256 units), and where a scale has
more choices than `max_relations`, it adds that many of them. The paper draws them at random; here they are the same
evenly spread ones every time, so that a clip's answer never changes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators.base import Aggregator
from models.aggregators.relations import Scale, pick_segments
from models.config.network import NetworkConfig


class TemporalRelations(Aggregator):
    """Multi-scale temporal relations over evenly picked steps, added up.

    A clip with more than `num_segments` valid steps gives the middle step of each of `num_segments` even parts, or
    in training, with `random_steps`, a random one. A shorter clip is not stretched by repeated steps: it has only
    the relations among the steps that it has, and no scale of more steps than those. A clip of one step hence has
    no relation at all, and its output is zeros: whatever it shows, this aggregator does not see it (`trn_centred`
    and `trn_x` do). `num_segments` and `max_scale` are at least 2.
    """

    order_aware = True

    def __init__(
        self,
        input_dim: int,
        *,
        num_segments: int = 8,
        max_scale: int = 4,
        max_relations: int = 6,
        width: int = 128,
        dropout: float = 0.0,
        random_steps: bool = False,
    ) -> None:
        super().__init__(input_dim)
        self.num_segments = num_segments
        self.random_steps = random_steps
        self.output_dim = width
        self.reduce = nn.Linear(input_dim, width)
        self.dropout = nn.Dropout(dropout)
        self.relations = nn.ModuleList(
            Scale(scale, num_segments=num_segments, max_relations=max_relations, width=width)
            for scale in range(2, min(max_scale, num_segments) + 1)
        )

    @classmethod
    def from_config(cls, input_dim: int, config: NetworkConfig) -> "TemporalRelations":
        """The aggregator with the `trn_` sizes of `config`."""
        return cls(
            input_dim,
            num_segments=config.trn_segments,
            max_scale=config.trn_max_scale,
            max_relations=config.trn_max_relations,
            width=config.trn_width,
            dropout=config.dropout,
            random_steps=config.random_steps,
        )

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, width)`; zeros for a row with fewer than two valid steps."""
        at_random = self.training and self.random_steps
        segments, lengths = pick_segments(features, mask, self.num_segments, at_random=at_random)
        steps = self.dropout(functional.relu(self.reduce(segments)))  # (B, L, width)
        return torch.stack([relations(steps, lengths) for relations in self.relations]).sum(dim=0)
