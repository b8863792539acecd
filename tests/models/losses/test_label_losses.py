"""The plain losses: each against its formula in double precision, and all against one suite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor

from models.config.training import TrainConfig
from models.losses import CATEGORY_LOSSES, TAG_LOSSES

if TYPE_CHECKING:
    from collections.abc import Callable

Array = npt.NDArray[np.float64]

HARD = TrainConfig(label_smoothing=0.0)
LOGITS = np.random.default_rng(0).normal(scale=3, size=(20, 5))
CATEGORY = np.random.default_rng(1).integers(0, 5, 20)
TAGS = np.random.default_rng(2).random((20, 5)) < 0.4


def category_losses(name: str, config: TrainConfig, logits: Array = LOGITS, category: object = CATEGORY) -> Array:
    losses = CATEGORY_LOSSES[name](torch.tensor(logits), torch.as_tensor(category), config)
    found: Array = losses.numpy()
    return found


def tag_losses(name: str, config: TrainConfig, logits: Array = LOGITS, tags: npt.NDArray[np.bool_] = TAGS) -> Array:
    found: Array = TAG_LOSSES[name](torch.tensor(logits), torch.tensor(tags, dtype=torch.float64), config).numpy()
    return found


def softmax(logits: Array) -> Array:
    powers = np.exp(logits)
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def sigmoid(logits: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-logits))
    return found


def test_cross_entropy_is_scikit_learns() -> None:
    losses = category_losses("cross_entropy", HARD)
    assert losses.mean() == pytest.approx(log_loss(CATEGORY, softmax(LOGITS), labels=range(5)))


def test_label_smoothing_by_hand() -> None:
    logits = np.array([[math.log(3), 0.0]])
    losses = category_losses("cross_entropy", TrainConfig(label_smoothing=0.2), logits, [0])
    # Target 0.9 and 0.1 against probabilities 3/4 and 1/4.
    assert losses == pytest.approx(0.9 * math.log(4 / 3) + 0.1 * math.log(4))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_category_loss_is_the_papers(gamma: float) -> None:
    right = softmax(LOGITS)[np.arange(20), CATEGORY]
    losses = category_losses("focal", TrainConfig(label_smoothing=0.0, focal_gamma=gamma))
    np.testing.assert_allclose(losses, -((1 - right) ** gamma) * np.log(right))


def test_focal_category_loss_smooths_the_cross_entropy_only() -> None:
    config = TrainConfig(label_smoothing=0.3, focal_gamma=2.0)
    missed = 1 - softmax(LOGITS)[np.arange(20), CATEGORY]
    np.testing.assert_allclose(category_losses("focal", config), missed**2 * category_losses("cross_entropy", config))


def test_binary_cross_entropy_is_scikit_learns() -> None:
    losses = tag_losses("binary_cross_entropy", HARD)
    assert losses.mean() == pytest.approx(log_loss(TAGS.ravel(), sigmoid(LOGITS).ravel()))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_tag_loss_is_the_papers(gamma: float) -> None:
    right = np.where(TAGS, sigmoid(LOGITS), 1 - sigmoid(LOGITS))
    losses = tag_losses("focal", TrainConfig(focal_gamma=gamma))
    np.testing.assert_allclose(losses, -((1 - right) ** gamma) * np.log(right))


@pytest.mark.parametrize(("positive", "negative", "margin"), [(0.0, 4.0, 0.05), (1.0, 0.5, 0.2), (2.0, 2.0, 0.0)])
def test_asymmetric_loss_is_the_papers(positive: float, negative: float, margin: float) -> None:
    config = TrainConfig(asymmetric_positive=positive, asymmetric_negative=negative, asymmetric_margin=margin)
    right = sigmoid(LOGITS)
    shifted = np.maximum(right - margin, 0)
    expected = np.where(TAGS, -((1 - right) ** positive) * np.log(right), -(shifted**negative) * np.log(1 - shifted))
    np.testing.assert_allclose(tag_losses("asymmetric", config), expected, atol=1e-15)


def test_asymmetric_loss_of_one_exponent_and_no_margin_is_the_focal_loss() -> None:
    config = TrainConfig(asymmetric_positive=2, asymmetric_negative=2, asymmetric_margin=0, focal_gamma=2)
    np.testing.assert_allclose(tag_losses("asymmetric", config), tag_losses("focal", config))


def test_a_tag_below_the_margin_costs_and_teaches_nothing() -> None:
    logits = torch.tensor([[math.log(0.04 / 0.96), math.log(0.06 / 0.94)]], requires_grad=True)
    losses = TAG_LOSSES["asymmetric"](logits, torch.zeros(1, 2), TrainConfig(asymmetric_margin=0.05))
    torch.autograd.backward(losses.sum())
    assert losses[0, 0] == 0
    assert losses[0, 1] > 0
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0


def every_loss() -> list[Callable[[Tensor, TrainConfig], Tensor]]:
    """All losses with labels of their own for logits ``(2, 2)``: of the first row, the first one is right."""
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    category = torch.tensor([0, 1])
    return [
        *(lambda logits, config, loss=loss: loss(logits, category, config) for loss in CATEGORY_LOSSES.values()),
        *(lambda logits, config, loss=loss: loss(logits, labels.to(logits), config) for loss in TAG_LOSSES.values()),
    ]


@pytest.mark.parametrize("loss", every_loss())
class TestEveryLoss:
    @given(
        values=st.lists(st.sampled_from([-200.0, -50.0, -0.3, 0.0, 4.0, 50.0, 200.0]), min_size=4, max_size=4),
        exponent=st.sampled_from([0.0, 0.5, 1.0, 4.0]),
        margin=st.sampled_from([0.0, 0.05]),
    )
    # Probabilities of exactly 0 and 1, whose square root has no slope at 0.
    @example(values=[200.0, -200.0, -200.0, 200.0], exponent=0.5, margin=0.0)
    def test_large_logits_have_finite_losses_and_gradients(
        self, loss: Callable[[Tensor, TrainConfig], Tensor], values: list[float], exponent: float, margin: float
    ) -> None:
        logits = torch.tensor(values).reshape(2, 2).requires_grad_()
        config = TrainConfig(
            focal_gamma=exponent,
            asymmetric_positive=exponent,
            asymmetric_negative=exponent,
            asymmetric_margin=margin,
        )
        losses = loss(logits, config)
        torch.autograd.backward(losses.sum())
        assert torch.isfinite(losses).all()
        assert (losses >= 0).all()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()

    def test_being_sure_and_wrong_costs_and_being_sure_and_right_does_not(
        self, loss: Callable[[Tensor, TrainConfig], Tensor]
    ) -> None:
        right = torch.tensor([[50.0, -50.0], [-50.0, 50.0]])
        config = TrainConfig(label_smoothing=0.0, asymmetric_margin=0.0)
        assert loss(right, config).max() < 1e-6
        assert loss(-right, config).min() == pytest.approx(50 if loss(right, config).ndim == 2 else 100)

    @pytest.mark.parametrize("exponent", [0.5, 2.0])
    def test_gradients_are_the_slopes(self, loss: Callable[[Tensor, TrainConfig], Tensor], exponent: float) -> None:
        logits = torch.tensor([[0.3, -1.2], [2.0, 0.1]], dtype=torch.float64, requires_grad=True)
        config = TrainConfig(focal_gamma=exponent, asymmetric_positive=exponent, asymmetric_negative=exponent)
        assert torch.autograd.gradcheck(lambda x: loss(x, config), (logits,))
