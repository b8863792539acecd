from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.config.network import NetworkConfig
from models.network.build import build_heads
from models.tag_heads.base import LinearTags
from models.tag_heads.mixture import MixtureTags, mixture_logits

Float64 = npt.NDArray[np.float64]


def sigmoid(x: Float64) -> Float64:
    return np.asarray(1 / (1 + np.exp(-x)))


def reference_logits(experts: Float64, gates: Float64) -> Float64:
    """Logits from the probabilities of yes and of no, each a sum of positive numbers."""
    weights = np.exp(gates - gates.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    yes = (weights[..., :-1] * sigmoid(experts)).sum(axis=-1)
    no = (weights[..., :-1] * sigmoid(-experts)).sum(axis=-1) + weights[..., -1]
    return np.asarray(np.log(yes) - np.log(no))


def test_linear_by_hand() -> None:
    head = LinearTags(2, 1)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, -1.0]]))
        head.linear.bias.fill_(0.25)
    assert head(torch.tensor([[3.0, 1.0]])).tolist() == [[2.25]]


def test_mixture_by_hand() -> None:
    # One expert that is undecided, and even gates: p = 1/2 * 1/2, the logit of 1/4 is -log 3.
    undecided = mixture_logits(torch.zeros(1, 1), torch.zeros(1, 2))
    assert undecided.item() == pytest.approx(-math.log(3), rel=1e-6)
    # Gates 1/2, 1/4, 1/4 (dummy), experts 0.8 and 0.4: p = 0.4 + 0.1, logit 0.
    experts = torch.tensor([0.8, 0.4]).logit()
    assert mixture_logits(experts, torch.tensor([2.0, 1.0, 1.0]).log()).item() == pytest.approx(0.0, abs=1e-6)


def test_dummy_expert_without_weight_leaves_the_expert_alone() -> None:
    experts = torch.linspace(-30, 30, 7).unsqueeze(1)
    gates = torch.tensor([0.0, -200.0]).expand(7, 2)
    torch.testing.assert_close(mixture_logits(experts, gates), experts[:, 0])


def test_number_of_experts_is_that_of_the_settings() -> None:
    head = build_heads("independent", 5, 0, 3, NetworkConfig(tag_head="moe", moe_experts=4)).tags
    assert isinstance(head, MixtureTags)
    assert (head.experts.out_features, head.gates.out_features) == (12, 15)


@pytest.mark.parametrize("num_experts", [1, 2, 4])
def test_mixture_equals_a_transcription(num_experts: int) -> None:
    head = MixtureTags(5, 3, num_experts=num_experts).double()
    vector = 3 * torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = {name: parameter.detach().numpy() for name, parameter in head.named_parameters()}
    x = vector.numpy()
    expected = np.empty((6, 3))
    for tag in range(3):
        rows = slice(tag * num_experts, (tag + 1) * num_experts)
        experts = x @ weights["experts.weight"][rows].T + weights["experts.bias"][rows]
        rows = slice(tag * (num_experts + 1), (tag + 1) * (num_experts + 1))
        gates = x @ weights["gates.weight"][rows].T + weights["gates.bias"][rows]
        expected[:, tag] = reference_logits(experts, gates)
    np.testing.assert_allclose(head(vector).detach().numpy(), expected, rtol=1e-10)


def test_extreme_experts_and_gates_are_exact_and_have_gradients() -> None:
    extremes = (-40.0, 0.0, 40.0)
    grid = torch.tensor(list(itertools.product(extremes, repeat=5)))
    experts, gates = grid[:, :2].clone().requires_grad_(), grid[:, 2:].clone().requires_grad_()
    logits = mixture_logits(experts, gates)
    expected = reference_logits(experts.detach().double().numpy(), gates.detach().double().numpy())
    # float32 holds 7 digits, so that a logarithm of up to 120 is right to 1e-5.
    np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=0, atol=1e-5)
    torch.autograd.backward(logits.sum())
    for tensor in (experts, gates):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
    # An expert that is sure keeps its gradient; where the dummy expert has no weight it is 1.
    sure = torch.full((1,), -40.0).requires_grad_()
    torch.autograd.backward(mixture_logits(sure, torch.tensor([0.0, -200.0])))
    assert sure.grad is not None
    assert sure.grad.item() == pytest.approx(1.0)


def test_gradients_equal_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    experts = torch.randn(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    gates = torch.randn(3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mixture_logits, (experts, gates))
