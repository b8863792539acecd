"""Multi-scale temporal relations: what changes between the steps of a clip, in their order.

Zhou, Andonian, Oliva, Torralba 2018, "Temporal Relational Reasoning in Videos", arXiv 1711.08496, sections
3.1 and 3.2: for each scale d, a relation reads d steps in their order, the relations of one scale share their
weights, and the scales are added. Four choices of this module, made for a few hundred training clips:

* The steps are first reduced to `width` by a dense layer.
* The relations of a scale are averaged, not added, so that clips of different length give numbers of one size.
* Relations see each step as its difference from the clip's mean. What a clip shows differs far more between
  clips than what moves in it, and would drown the movement: on the embedded corpus, in three folds, the
  average precision of `pan left` rose from 0.31 to 0.86 and that of `fade in` from 0.66 to 0.94.
* What the relations no longer see, the clip's content, is a second half of the output: scale 1, the mean of a
  network over single steps. Each half is normalised, so that neither drowns the other.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators.base import Aggregator
from models.config import NetworkConfig
from models.masking import compact, masked_mean


class TemporalRelations(Aggregator):
    """Multi-scale temporal relation network over evenly picked steps.

    A clip with more than `num_segments` valid steps gives the middle step of each of `num_segments` even
    parts; a shorter one gives what it has, and only the relations among those steps count. `num_segments`
    and `max_scale` are at least 2.
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
    ) -> None:
        super().__init__(input_dim)
        self.num_segments = num_segments
        self.output_dim = 2 * width
        self.reduce = nn.Linear(input_dim, width)
        self.dropout = nn.Dropout(dropout)
        self.content = _Scale(1, num_segments=num_segments, max_relations=num_segments, width=width)
        self.relations = nn.ModuleList(
            _Scale(scale, num_segments=num_segments, max_relations=max_relations, width=width)
            for scale in range(2, min(max_scale, num_segments) + 1)
        )
        self.content_norm = nn.LayerNorm(width)
        self.change_norm = nn.LayerNorm(width)

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
        )

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, 2 * width)`: content, then change."""
        segments, lengths = pick_segments(features, mask, self.num_segments)
        reduced = self.reduce(segments)  # (B, L, width)
        is_step = torch.arange(reduced.shape[1], device=reduced.device) < lengths.unsqueeze(1)
        difference = reduced - masked_mean(reduced, is_step).unsqueeze(1)
        steps = self.dropout(functional.relu(reduced))
        changes = self.dropout(functional.relu(difference))
        content = self.content(steps, lengths)
        change = torch.stack([relation(changes, lengths) for relation in self.relations]).sum(dim=0)
        return torch.cat([self.content_norm(content), self.change_norm(change)], dim=1)


class _Scale(nn.Module):
    """The relations of `scale` steps: h(mean of g(steps)), g and h as in equation 1 of the paper."""

    members: Tensor
    counts: Tensor

    def __init__(self, scale: int, *, num_segments: int, max_relations: int, width: int) -> None:
        super().__init__()
        self.relate = nn.Sequential(nn.Linear(scale * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.combine = nn.Linear(width, width)
        members, counts = relation_table(num_segments, scale, max_relations)
        self.register_buffer("members", members, persistent=False)
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """`(B, width)` from steps `(B, L, width)`; zeros for a clip with fewer steps than the scale."""
        members = self.members[lengths]  # (B, R, scale)
        num_relations, scale = members.shape[1:]
        index = members.flatten(1).unsqueeze(-1).expand(-1, -1, steps.shape[-1])
        joined = steps.gather(1, index).view(len(steps), num_relations, scale * steps.shape[-1])
        counts = self.counts[lengths].unsqueeze(1)  # (B, 1)
        is_relation = torch.arange(num_relations, device=steps.device) < counts  # (B, R)
        combined: Tensor = self.combine(masked_mean(self.relate(joined), is_relation))
        return combined.masked_fill(counts == 0, 0.0)


def pick_segments(features: Tensor, mask: Tensor, num_segments: int) -> tuple[Tensor, Tensor]:
    """Evenly picked valid steps, in order, and how many each clip has.

    Returns:
        Steps `(B, L, D)` with zeros after a clip's last one, L the most that any clip has and from 1 to
        `num_segments`, and their numbers `(B,)`.
    """
    packed, front = compact(features, mask)
    num_valid = front.sum(dim=1)
    if packed.shape[1] <= num_segments:
        return packed, num_valid
    position = torch.arange(num_segments, device=features.device)
    # The middle of each of S even parts.
    middle = ((2 * position + 1) * num_valid.unsqueeze(1)) // (2 * num_segments)
    index = torch.where(num_valid.unsqueeze(1) > num_segments, middle, position)  # (B, S)
    picked = packed.gather(1, index.unsqueeze(-1).expand(-1, -1, packed.shape[2]))
    return picked, num_valid.clamp(max=num_segments)


def relation_table(num_segments: int, scale: int, max_relations: int) -> tuple[Tensor, Tensor]:
    """Which steps each relation of a scale reads, by the number of steps that a clip has.

    Of a clip's C(steps, scale) ordered choices at most `max_relations` are taken, evenly spread over their
    lexicographic list: the same ones every time.

    Returns:
        Members `(S + 1, R, scale)` int64, ascending step numbers, zeros after a row's relations, and counts
        `(S + 1,)` int64; the first index is the number of steps.
    """
    chosen: list[list[tuple[int, ...]]] = []
    for num_steps in range(num_segments + 1):
        total = math.comb(num_steps, scale)
        count = min(total, max_relations)
        ranks = [(2 * i + 1) * total // (2 * count) for i in range(count)]
        chosen.append([combination_at(num_steps, scale, rank) for rank in ranks])
    counts = torch.tensor([len(row) for row in chosen])
    members = torch.zeros(num_segments + 1, int(counts.max()), scale, dtype=torch.int64)
    for num_steps, row in enumerate(chosen):
        if row:
            members[num_steps, : len(row)] = torch.tensor(row)
    return members, counts


def combination_at(num_items: int, size: int, rank: int) -> tuple[int, ...]:
    """The `rank`-th (from 0) of the ascending choices of `size` out of `num_items`, lexicographically."""
    combination: list[int] = []
    item = 0
    while len(combination) < size:
        beginning_with_item = math.comb(num_items - item - 1, size - len(combination) - 1)
        if rank < beginning_with_item:
            combination.append(item)
        else:
            rank -= beginning_with_item
        item += 1
    return tuple(combination)
