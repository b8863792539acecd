"""TRN: the multi-scale temporal relation network.

Zhou, Andonian, Oliva, Torralba 2018, "Temporal Relational Reasoning in Videos", arXiv 1711.08496, equations 1 and 2:
T_d = h_d(sum of g_d(f_i, f_j, ...) over ordered choices of d steps), and the output is T_2 + T_3 + ... up to the
largest scale. Each scale has its own g, a network of two layers, and its own h, a linear map.

As in the paper, the steps are first reduced by a dense layer (there from 1,024 to 256 units), and where a scale has
more choices than ``max_relations``, it adds that many of them. The paper draws them at random; here they are the same
evenly spread ones every time, so that the output for a clip never changes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators.base import Aggregator
from models.data.masking import compact, masked_mean, zero_padding


class TemporalRelations(Aggregator):
    """Multi-scale temporal relations over evenly picked steps, added up.

    A clip with more than ``num_segments`` valid steps gives the middle step of each of ``num_segments`` even parts, or
    in training, with ``random_steps``, a random one. A shorter clip is not stretched by repeated steps: it has only
    the relations among its own steps, and no scale of more steps than those. A clip of one step hence has no relation,
    and its output is zeros (``trn_centred`` and ``trn_x`` use such a step). ``num_segments`` and ``max_scale`` are at
    least 2.
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

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, width)``; zeros for a row with fewer than two valid steps."""
        at_random = self.training and self.random_steps
        segments, lengths = pick_segments(features, mask, self.num_segments, at_random=at_random)
        steps = self.dropout(functional.relu(self.reduce(segments)))  # (B, L, width)
        return torch.stack([relations(steps, lengths) for relations in self.relations]).sum(dim=0)


class Scale(nn.Module):
    """The relations of ``scale`` steps: h(sum of g(steps)), g and h as in equation 1 of the paper.

    Args:
        scale: Steps in one relation.
        num_segments: Most steps of a clip.
        max_relations: Most relations; a clip that has more gives evenly spread ones, the same every time.
        width: Of a step, of a relation and of the output.
        average: Whether h reads the mean of the relations instead of their sum.
    """

    members: Tensor
    counts: Tensor

    def __init__(self, scale: int, *, num_segments: int, max_relations: int, width: int, average: bool = False) -> None:
        super().__init__()
        self.average = average
        self.relate = nn.Sequential(nn.Linear(scale * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.combine = nn.Linear(width, width)
        members, counts = relation_table(num_segments, scale, max_relations)
        self.register_buffer("members", members, persistent=False)
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Return ``(B, width)`` from steps ``(B, L, width)``; zeros for a clip with fewer steps than the scale."""
        members = self.members[lengths]  # (B, R, scale)
        num_relations, scale = members.shape[1:]
        index = members.flatten(1).unsqueeze(-1).expand(-1, -1, steps.shape[-1])
        joined = steps.gather(1, index).view(len(steps), num_relations, scale * steps.shape[-1])
        counts = self.counts[lengths].unsqueeze(1)  # (B, 1)
        is_relation = torch.arange(num_relations, device=steps.device) < counts  # (B, R)
        related = self.relate(joined)  # (B, R, width)
        gathered = masked_mean(related, is_relation) if self.average else zero_padding(related, is_relation).sum(dim=1)
        combined: Tensor = self.combine(gathered)
        return combined.masked_fill(counts == 0, 0.0)


def pick_segments(
    features: Tensor, mask: Tensor, num_segments: int, *, at_random: bool = False
) -> tuple[Tensor, Tensor]:
    """Return evenly picked valid steps, in order, and how many each clip has.

    A clip with more than ``num_segments`` valid steps is split into as many even parts and gives one step of each;
    another gives what it has.

    Args:
        features: ``(B, T, D)``.
        mask: ``(B, T)``.
        num_segments: Most steps that a clip gives.
        at_random: Whether a part gives a random step, drawn by torch's default generator, instead of its middle.

    Returns:
        Steps ``(B, L, D)`` with zeros after a clip's last one, L the most that any clip has and from 1 to
        ``num_segments``, and their numbers ``(B,)``.
    """
    packed, front = compact(features, mask)
    num_valid = front.sum(dim=1)
    if packed.shape[1] <= num_segments:
        return packed, num_valid
    position = torch.arange(num_segments, device=features.device)
    pick = random_steps if at_random else middle_steps
    picked_of_long = pick(num_valid.unsqueeze(1), num_segments)
    index = torch.where(num_valid.unsqueeze(1) > num_segments, picked_of_long, position)  # (B, S)
    picked = packed.gather(1, index.unsqueeze(-1).expand(-1, -1, packed.shape[2]))
    return picked, num_valid.clamp(max=num_segments)


def middle_steps(num_steps: Tensor, num_segments: int) -> Tensor:
    """Return the step at the middle of each of S even parts, ``(B, S)``, from numbers of steps ``(B, 1)``."""
    position = torch.arange(num_segments, device=num_steps.device)
    return ((2 * position + 1) * num_steps) // (2 * num_segments)


def random_steps(num_steps: Tensor, num_segments: int) -> Tensor:
    """Return a random step of each of S even parts, ``(B, S)``, from numbers of steps ``(B, 1)``.

    Part i begins at step i n / S, rounded down, and ends before the next one: no step is in two of them.
    """
    edges = torch.arange(num_segments + 1, device=num_steps.device) * num_steps // num_segments  # (B, S + 1)
    first, size = edges[:, :-1], edges.diff(dim=1)
    return first + (torch.rand(first.shape, device=num_steps.device) * size).long()


def relation_table(num_segments: int, scale: int, max_relations: int) -> tuple[Tensor, Tensor]:
    """Return the steps that each relation of a scale reads, by the number of steps that a clip has.

    Of a clip's C(steps, scale) ordered choices at most ``max_relations`` are taken, evenly spread over their
    lexicographic list: the same ones every time.

    Returns:
        Members ``(S + 1, R, scale)`` int64, ascending step numbers, zeros after a row's relations, and counts
        ``(S + 1,)`` int64; the first index is the number of steps.
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
    """Return the ``rank``-th (from 0) ascending choice of ``size`` out of ``num_items``, lexicographically."""
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
