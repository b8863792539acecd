"""The small parts of training: schedule, average, seeding, validation, optimizer."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from models.averaging import WeightAverage
from models.batching import iterate_batches
from models.config import TrainConfig
from models.network import VideoNetwork
from models.optimizer import make_optimizer
from models.schedule import learning_rate_at
from models.seeding import cpu_threads, seeded
from models.validation import Validation, validate
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


def test_average_by_hand() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 2, 0)
    average = WeightAverage(network, 0.15)
    first = network.embed.bias.detach().clone()
    with torch.no_grad():
        network.embed.bias.add_(1.0)
        for buffer in network.buffers():
            buffer.add_(3)
    average.update(network)  # decay 1/10
    torch.testing.assert_close(average.network.embed.bias, first + 0.9)
    average.update(network)  # decay min(0.15, 2/11)
    torch.testing.assert_close(average.network.embed.bias, first + 0.15 * 0.9 + 0.85)
    for kept, buffer in zip(average.network.buffers(), network.buffers(), strict=True):
        assert torch.equal(kept, buffer)
    assert not average.network.training
    assert torch.equal(network.embed.bias.detach(), first + 1.0)


def test_only_matrices_decay() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 2, 2)
    decayed, free = make_optimizer(network, TrainConfig(weight_decay=0.3)).param_groups
    assert decayed["weight_decay"] == 0.3
    assert free["weight_decay"] == 0.0
    assert all(weight.ndim >= 2 for weight in decayed["params"])
    assert all(weight.ndim < 2 for weight in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))


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
    assert result.category_map == pytest.approx(np.mean(of_category))
    assert result.tag_map == pytest.approx(np.mean(of_tags))
    assert result.score == pytest.approx((np.mean(of_category) + np.mean(of_tags)) / 2)


def test_validation_of_nothing_is_none() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 3, 4).eval()
    assert validate(network, [], TrainConfig(), CPU) == Validation(None, None, None)
    labels = make_labels(np.full(4, -1), np.zeros((4, 4), bool), num_categories=3)
    batches = iterate_batches(random_source(4, DIMS), np.arange(4), SMALL_NETWORK, 4, labels=labels)
    result = validate(network, batches, TrainConfig(), CPU)
    assert (result.category_map, result.tag_map, result.score) == (None, None, None)
    assert result.rank("map") == ()
    assert random_labels(4).tags.shape == (4, 4)


def test_rank_prefers_the_score_then_the_loss() -> None:
    assert Validation(2.0, 0.9, None).rank("map") > Validation(1.0, 0.8, None).rank("map")
    assert Validation(1.0, 0.9, None).rank("map") > Validation(2.0, 0.9, None).rank("map")
    assert Validation(1.0, 0.8, None).rank("loss") > Validation(2.0, 0.9, None).rank("loss")
