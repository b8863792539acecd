import math

import pytest
import torch

from models.batching import BatchLabels
from models.config import TrainConfig
from models.losses import category_loss, tag_loss, total_loss
from models.network import Outputs

LOGITS = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0], [100.0, -100.0]])
TAG_LOGITS = torch.tensor([[0.0, math.log(3.0)], [9.0, 9.0]])
TAGS = torch.tensor([[1.0, 0.0], [0.0, 0.0]])


def test_category_loss_by_hand_leaves_unknown_out() -> None:
    loss = category_loss(LOGITS, torch.tensor([0, 1, -1]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_label_smoothing_by_hand() -> None:
    loss = category_loss(LOGITS[:1], torch.tensor([0]), label_smoothing=0.2)
    # target 0.9 and 0.1 against probabilities 3/4 and 1/4
    assert loss.item() == pytest.approx(0.9 * math.log(4 / 3) + 0.1 * math.log(4))


def test_tag_loss_by_hand_leaves_unknown_out() -> None:
    # -log sigmoid(0) = log 2; -log(1 - sigmoid(log 3)) = log 4
    expected = (math.log(2) + math.log(4)) / 2
    loss = tag_loss(TAG_LOGITS, TAGS, torch.tensor([True, False]))
    assert loss.item() == pytest.approx(expected)


def test_nothing_known_gives_zero_and_zero_gradients() -> None:
    logits = LOGITS.clone().requires_grad_()
    tag_logits = TAG_LOGITS.clone().requires_grad_()
    loss = category_loss(logits, torch.tensor([-1, -1, -1])) + tag_loss(tag_logits, TAGS, torch.tensor([False, False]))
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()
    assert tag_logits.grad is not None
    assert not tag_logits.grad.any()


def test_total_is_the_weighted_sum_over_the_heads_that_are_there() -> None:
    config = TrainConfig(category_weight=2.0, tag_weight=3.0, label_smoothing=0.0)
    labels = BatchLabels(torch.tensor([0, 1]), TAGS, torch.tensor([True, True]))
    embedding = torch.zeros(2, 1)
    category = category_loss(LOGITS[:2], labels.category).item()
    tag = tag_loss(TAG_LOGITS, TAGS, labels.tags_known).item()

    def total(category_logits: torch.Tensor | None, tag_logits: torch.Tensor | None) -> float:
        return total_loss(Outputs(category_logits, tag_logits, embedding), labels, config).item()

    assert total(LOGITS[:2], TAG_LOGITS) == pytest.approx(2 * category + 3 * tag)
    assert total(LOGITS[:2], None) == pytest.approx(2 * category)
    assert total(None, TAG_LOGITS) == pytest.approx(3 * tag)
