"""The small parts of training: schedule, average, seeding, validation, optimizer."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from models.config.training import TrainConfig
from models.data.batching import iterate_batches
from models.network.network import VideoNetwork
from models.training.optimizer import learning_rate_at, make_optimizer
from models.training.seeding import cpu_threads, seeded
from models.training.train_step import WeightAverage
from models.training.validation import Validation, validate
from tests.models.synthetic import SMALL_NETWORK, make_labels, random_labels, random_source

DIMS = {"frames": 6, "audio": 5}
CPU = torch.device("cpu")


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


def test_average_by_hand() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 2, 0)
    average = WeightAverage(network, 0.15)
    first = network.get_parameter("experts.0.embed.bias").detach().clone()
    with torch.no_grad():
        network.get_parameter("experts.0.embed.bias").add_(1.0)
        for buffer in network.buffers():
            buffer.add_(3)
    average.update(network)  # decay 1/10
    torch.testing.assert_close(average.network.get_parameter("experts.0.embed.bias"), first + 0.9)
    average.update(network)  # decay min(0.15, 2/11)
    torch.testing.assert_close(average.network.get_parameter("experts.0.embed.bias"), first + 0.15 * 0.9 + 0.85)
    for kept, buffer in zip(average.network.buffers(), network.buffers(), strict=True):
        assert torch.equal(kept, buffer)
    assert not average.network.training
    assert torch.equal(network.get_parameter("experts.0.embed.bias").detach(), first + 1.0)


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


def test_seeding_repeats_and_leaves_the_callers_generators_alone() -> None:
    before = torch.random.get_rng_state()
    with seeded(1, 2, CPU) as generator:
        first = (torch.rand(3).tolist(), generator.random())
    assert torch.equal(torch.random.get_rng_state(), before)
    with seeded(1, 2, CPU) as generator:
        assert (torch.rand(3).tolist(), generator.random()) == first
    for seed, epoch in ((1, 3), (2, 2)):
        with seeded(seed, epoch, CPU) as generator:
            assert (torch.rand(3).tolist(), generator.random()) != first


def test_thread_count_is_put_back() -> None:
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(ValueError, match="inside"), cpu_threads(before + 1):
        raise ValueError("inside")
    assert torch.get_num_threads() == before


def test_validation_equals_scikit_learn_over_the_classes_that_occur() -> None:
    source = random_source(30, DIMS)
    network = VideoNetwork(SMALL_NETWORK, DIMS, 4, 3).eval()
    generator = np.random.default_rng(0)
    category = generator.integers(-1, 3, 30)  # category 3 never occurs
    tags = generator.random((30, 3)) < [0.5, 0.2, 0.0]
    known = generator.random(30) < 0.7
    labels = make_labels(category, tags, num_categories=4, tags_known=known)
    config = TrainConfig()
    result = validate(network, iterate_batches(source, np.arange(30), SMALL_NETWORK, 7, labels=labels), config, CPU)
    outputs = network(next(iterate_batches(source, np.arange(30), SMALL_NETWORK, 30)))
    scores = outputs.category_logits.softmax(dim=1).detach().numpy()
    tag_scores = outputs.tag_logits.sigmoid().detach().numpy()
    of_category = [average_precision_score(category[category >= 0] == k, scores[category >= 0, k]) for k in range(3)]
    of_tags = [average_precision_score(tags[known, c], tag_scores[known, c]) for c in range(2)]
    predicted = scores.argmax(axis=1)[category >= 0]
    assert result.metrics["category_map"] == pytest.approx(np.mean(of_category))
    assert result.metrics["category_accuracy"] == pytest.approx((predicted == category[category >= 0]).mean())
    macro = f1_score(category[category >= 0], predicted, average="macro", labels=np.unique([*predicted, 0, 1, 2]))
    assert result.metrics["category_macro_f1"] == pytest.approx(macro)
    assert result.metrics["tag_map"] == pytest.approx(np.mean(of_tags))
    # All three tags of each clip are among its best twenty.
    pooled = average_precision_score(tags[known].ravel(), tag_scores[known].ravel())
    assert result.metrics["tag_gap"] == pytest.approx(pooled)
    assert result.mean_ap == pytest.approx((np.mean(of_category) + np.mean(of_tags)) / 2)


def test_validation_of_nothing_is_none() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 3, 4).eval()
    assert validate(network, [], TrainConfig(), CPU) == Validation(None, {})
    labels = make_labels(np.full(4, -1), np.zeros((4, 4), bool), num_categories=3)
    batches = iterate_batches(random_source(4, DIMS), np.arange(4), SMALL_NETWORK, 4, labels=labels)
    result = validate(network, batches, TrainConfig(), CPU)
    assert (result.metrics, result.mean_ap) == ({}, None)
    assert result.rank("map") == ()
    assert random_labels(4).tags.shape == (4, 4)


def test_rank_prefers_the_score_then_the_loss() -> None:
    def found(loss: float, category_map: float, accuracy: float = 0.5) -> Validation:
        return Validation(loss, {"category_map": category_map, "category_accuracy": accuracy})

    assert found(2.0, 0.9).rank("map") > found(1.0, 0.8).rank("map")
    assert found(1.0, 0.9).rank("map") > found(2.0, 0.9).rank("map")
    assert found(1.0, 0.8).rank("loss") > found(2.0, 0.9).rank("loss")
    assert found(2.0, 0.8, 0.7).rank("category_accuracy") > found(1.0, 0.9, 0.6).rank("category_accuracy")
    # There are no tags: the mean average precision replaces what was asked for.
    assert found(2.0, 0.9).rank("tag_map") > found(1.0, 0.8).rank("tag_map")
