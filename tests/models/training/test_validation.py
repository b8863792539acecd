from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from models.config.training import TrainConfig
from models.data.batching import iterate_batches
from models.network.network import VideoNetwork
from models.training.validation import Validation, validate
from tests.models.synthetic import SMALL_NETWORK, make_labels, random_labels, random_source

DIMS = {"frames": 6, "audio": 5}
CPU = torch.device("cpu")


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
