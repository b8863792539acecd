"""How fast the heavy aggregators train: NeXtVLAD beside a plain transcription of it, and TRN-X beside NeXtVLAD.

A step is forward, backward and AdamW over 64 clips of up to 32 steps of width 1,280, with 64 clusters, 8 groups and
1,024 outputs. The transcription follows the usual public ones: it computes the padding too, and silences it in the
attention. Both start from the same weights, give the same numbers, which is checked, and are trained by the same
fused AdamW; the transcription also by torch's default one. In a `full` batch no step is padding; in a `ragged` one
the lengths are spread evenly from 8 to 32. Rounds are interleaved; each ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.machine import in_turns, keep, machine_facts, median_ratio
from models.aggregators.nextvlad import NeXtVlad
from models.aggregators.trn_x import TemporalSegments

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_CLIPS = 64
NUM_STEPS = 32
DIM = 1280
NUM_CLUSTERS = 64
NUM_GROUPS = 8
EXPANSION = 2
OUTPUT_WIDTH = 1024
DROPOUT = 0.3
LENGTHS = {"full": torch.full((NUM_CLIPS,), NUM_STEPS), "ragged": torch.linspace(8, NUM_STEPS, NUM_CLIPS).long()}


class PlainNeXtVlad(nn.Module):
    """NeXtVLAD as it is usually written, line by line after the paper."""

    def __init__(self) -> None:
        super().__init__()
        self.group_width = EXPANSION * DIM // NUM_GROUPS
        self.expand = nn.Linear(DIM, EXPANSION * DIM)
        self.attend = nn.Linear(EXPANSION * DIM, NUM_GROUPS)
        self.cluster_weights = nn.Parameter(torch.empty(EXPANSION * DIM, NUM_GROUPS * NUM_CLUSTERS))
        self.assign_norm = nn.BatchNorm1d(NUM_GROUPS * NUM_CLUSTERS)
        self.centers = nn.Parameter(torch.empty(1, self.group_width, NUM_CLUSTERS))
        self.descriptor_norm = nn.BatchNorm1d(self.group_width * NUM_CLUSTERS)
        self.dropout = nn.Dropout(DROPOUT)
        self.project = nn.Linear(self.group_width * NUM_CLUSTERS, OUTPUT_WIDTH, bias=False)
        self.output_norm = nn.BatchNorm1d(OUTPUT_WIDTH)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, H)`."""
        num_clips, num_steps, _ = features.shape
        expanded = self.expand(features)
        attention = torch.sigmoid(self.attend(expanded)) * mask.unsqueeze(-1).float()
        attention = attention.reshape(num_clips, num_steps * NUM_GROUPS).unsqueeze(-1)
        grouped = expanded.reshape(num_clips, num_steps * NUM_GROUPS, self.group_width)
        activation = torch.matmul(expanded, self.cluster_weights).view(-1, NUM_GROUPS * NUM_CLUSTERS)
        activation = self.assign_norm(activation).view(num_clips, num_steps * NUM_GROUPS, NUM_CLUSTERS)
        activation = functional.softmax(activation, dim=-1) * attention
        offsets = activation.sum(-2, keepdim=True) * self.centers
        vlad = torch.matmul(activation.transpose(2, 1), grouped).transpose(2, 1) - offsets
        vlad = functional.normalize(vlad, dim=1).reshape(num_clips, self.group_width * NUM_CLUSTERS)
        return functional.relu(self.output_norm(self.project(self.dropout(self.descriptor_norm(vlad)))))

    def take(self, other: NeXtVlad) -> None:
        """Copy the weights of the package's own module, whose descriptor is ordered by cluster."""
        with torch.no_grad():
            self.expand.load_state_dict(other.expand.state_dict())
            self.attend.load_state_dict(other.attend.state_dict())
            self.cluster_weights.copy_(other.assign.weight.t())
            self.centers.copy_(other.centers.t().unsqueeze(0))
            by_cluster = other.project.weight.view(OUTPUT_WIDTH, NUM_CLUSTERS, self.group_width)
            self.project.weight.copy_(by_cluster.transpose(1, 2).reshape(OUTPUT_WIDTH, -1))


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    features = torch.randn(NUM_CLIPS, NUM_STEPS, DIM)
    figures: dict[str, object] = {}
    for num_threads in options.threads:
        torch.set_num_threads(num_threads)
        for name, lengths in LENGTHS.items():
            mask = torch.arange(NUM_STEPS) < lengths.unsqueeze(1)
            figures[f"{num_threads}_threads_{name}"] = _measure(features, mask, options.rounds)
    keep("aggregator_steps", {"machine": machine_facts("torch"), "rounds": options.rounds, **figures}, options.output)


def _measure(features: Tensor, mask: Tensor, rounds: int) -> dict[str, object]:
    own, plain = _own(), PlainNeXtVlad()
    plain.take(own)
    _check_same(own, plain, features, mask)
    works = {
        "plain": _step(plain, features, mask),
        "plain_default_adamw": _step(PlainNeXtVlad(), features, mask, fused=False),
        "plain_bfloat16": _step(PlainNeXtVlad(), features, mask, bfloat16=True),
        "nextvlad": _step(own, features, mask),
        "nextvlad_bfloat16": _step(_own(), features, mask, bfloat16=True),
        "trn_x": _step(TemporalSegments(DIM, output_width=OUTPUT_WIDTH, dropout=DROPOUT), features, mask),
    }
    for work in works.values():
        work()
    found = in_turns(works, rounds)
    return {
        "clips_per_second": {name: round(NUM_CLIPS / statistics.median(times), 1) for name, times in found.items()},
        "nextvlad_speed_over_plain": median_ratio(found["plain"], found["nextvlad"]),
        "nextvlad_speed_over_plain_default_adamw": median_ratio(found["plain_default_adamw"], found["nextvlad"]),
        "nextvlad_bfloat16_speed_over_plain_bfloat16": median_ratio(
            found["plain_bfloat16"], found["nextvlad_bfloat16"]
        ),
        "nextvlad_bfloat16_speed_over_float32": median_ratio(found["nextvlad"], found["nextvlad_bfloat16"]),
        "trn_x_speed_over_nextvlad": median_ratio(found["nextvlad"], found["trn_x"]),
    }


def _own() -> NeXtVlad:
    return NeXtVlad(
        DIM,
        num_clusters=NUM_CLUSTERS,
        num_groups=NUM_GROUPS,
        expansion=EXPANSION,
        output_width=OUTPUT_WIDTH,
        dropout=DROPOUT,
    )


def _check_same(own: NeXtVlad, plain: PlainNeXtVlad, features: Tensor, mask: Tensor) -> None:
    """Stop if the two give other numbers where padding does not count: with the running statistics."""
    with torch.no_grad():
        difference = (own.eval()(features, mask) - plain.eval()(features, mask)).abs().max()
    own.train()
    plain.train()
    assert difference < 1e-4, f"the two give other numbers: {difference}"


def _step(
    network: nn.Module, features: Tensor, mask: Tensor, *, fused: bool = True, bfloat16: bool = False
) -> Callable[[], None]:
    """One step of training, as a call; the loss is the mean of the squared outputs."""
    optimizer = torch.optim.AdamW(network.parameters(), fused=fused or None)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            output = network(features, mask)
        output.float().square().mean().backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
