from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from models.config.training import TrainConfig
from models.network.network import VideoNetwork
from models.training.optimizer import learning_rate_at, make_optimizer
from tests.models.synthetic import SMALL_NETWORK


def test_schedule_by_hand() -> None:
    config = TrainConfig(learning_rate=2.0, warmup_fraction=0.2)
    rates = [learning_rate_at(step, 10, config) for step in range(10)]
    assert rates[:3] == [1.0, 2.0, 2.0]
    assert rates[6] == pytest.approx(1.0)  # half way down the cosine
    assert rates[9] == pytest.approx(1 + math.cos(math.pi * 7 / 8))
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert learning_rate_at(0, 1, TrainConfig(learning_rate=2.0, warmup_fraction=0.9)) == 2.0
    assert learning_rate_at(0, 5, TrainConfig(learning_rate=2.0, warmup_fraction=0.0)) == 2.0


def test_exponential_schedule_by_hand() -> None:
    config = TrainConfig(learning_rate=2.0, warmup_fraction=0.2, schedule="exponential", final_rate_fraction=0.01)
    rates = [learning_rate_at(step, 12, config) for step in range(12)]
    assert rates[:3] == [1.0, 2.0, 2.0]
    # The same factor in each of the 9 steps from the peak to a hundredth of it.
    assert [later / earlier for earlier, later in pairwise(rates[2:])] == pytest.approx([0.01 ** (1 / 9)] * 9)
    assert rates[-1] == pytest.approx(0.02)
    assert learning_rate_at(0, 1, replace(config, warmup_fraction=0.0)) == 2.0
    assert learning_rate_at(0, 1, replace(config, warmup_fraction=0.9)) == 2.0
    assert learning_rate_at(3, 5, replace(config, final_rate_fraction=1.0)) == 2.0


def grouped_weights(config: TrainConfig) -> list[tuple[str, torch.Tensor, float, float]]:
    """Name, weight, decay and rate of every weight of a network that has every part."""
    shape = replace(
        SMALL_NETWORK,
        audio_aggregator="mean",
        frames_aggregator="nextvlad",
        modality_heads=True,
        num_experts=2,
        text_aggregator="bilstm",
        text_embedding="both",
    )
    dims = {"frames": 6, "audio": 5, "text": 4, "cover": 6, "other": 3}
    network = VideoNetwork(shape, dims, 2, 3, num_tokens=7)
    names = {id(weight): name for name, weight in network.named_parameters()}
    found = [
        (names.pop(id(weight)), weight, float(group["weight_decay"]), float(group["rate"]))
        for group in make_optimizer(network, config).param_groups
        for weight in group["params"]
    ]
    assert not names
    return found


def test_only_matrices_decay_and_not_the_text_table() -> None:
    for name, weight, decay, _ in grouped_weights(TrainConfig(weight_decay=0.3)):
        assert decay == (0.3 if weight.ndim >= 2 and name != "prepare.table.embedding.weight" else 0.0), name


def test_every_part_has_its_rate() -> None:
    config = TrainConfig(frames_rate=0.1, audio_rate=0.2, text_rate=0.3, head_rate=0.4)
    rates = {name: rate for name, _, _, rate in grouped_weights(config)}
    expected = {
        "prepare.table.embedding.weight": 0.3,
        "experts.1.encoders.text.missing": 0.3,
        "experts.1.modality_heads.text.": 0.3,
        "experts.0.encoders.audio.missing": 0.2,
        "experts.0.modality_heads.audio.": 0.2,
        "experts.1.encoders.frames.aggregate.": 0.1,
        "experts.1.encoders.cover.aggregate.": 0.1,
        "experts.0.encoders.other.aggregate.": 0.1,
        "experts.0.modality_heads.cover.": 0.1,
        "experts.0.fusion.": 0.4,
        "experts.1.hidden.": 0.4,
        "experts.1.embed.": 0.4,
        "experts.0.heads.": 0.4,
        "gate.": 0.4,
    }
    for beginning, rate in expected.items():
        assert {rates[name] for name in rates if name.startswith(beginning)} == {rate}, beginning


def test_a_rate_of_0_leaves_a_part_as_it_is() -> None:
    network = VideoNetwork(replace(SMALL_NETWORK, frames_aggregator="mean"), {"frames": 6}, 2, 2)
    optimizer = make_optimizer(network, TrainConfig(frames_rate=0.0))
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name]) == name.startswith("experts.0.encoders."), name


def test_no_group_is_empty() -> None:
    network = torch.nn.Linear(3, 2, bias=False)
    groups = make_optimizer(network, TrainConfig(learning_rate=0.5, head_rate=0.1)).param_groups
    assert [(len(group["params"]), group["rate"], group["lr"]) for group in groups] == [(1, 0.1, 0.05)]
