"""What a mixture teaches its experts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import expit, rel_entr, softmax
from torch import Tensor

from models.config.training import TrainConfig
from models.data.batching import BatchLabels
from models.heads.logits import Logits
from models.losses.distillation import category_divergence, distillation_loss, tag_divergence
from models.losses.head_losses import LabelCounts

Array = npt.NDArray[np.float64]

TEACHER = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)) * 4
STUDENTS = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1)) * 4
LABELS = BatchLabels(
    torch.tensor([0, -1, 2, 1, -1, 0]), torch.zeros(6, 3), torch.tensor([True, True, False, True, True, False])
)
CONFIG = TrainConfig(category_weight=2.0, tag_weight=5.0, distillation_temperature=3.0)


def softmax_divergence(teacher: Tensor, student: Tensor, temperature: float) -> Array:
    target, learned = softmax(teacher.numpy() / temperature, axis=1), softmax(student.numpy() / temperature, axis=1)
    return np.asarray(rel_entr(target, learned).sum(axis=1))


def coin_divergence(teacher: Tensor, student: Tensor, temperature: float) -> Array:
    target, learned = expit(teacher.double().numpy() / temperature), expit(student.double().numpy() / temperature)
    return np.asarray(rel_entr(target, learned) + rel_entr(1 - target, 1 - learned))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_divergences_are_scipys(temperature: float) -> None:
    np.testing.assert_allclose(
        category_divergence(TEACHER, STUDENTS[0], temperature),
        softmax_divergence(TEACHER, STUDENTS[0], temperature),
        rtol=1e-4,  # sums of float32
    )
    np.testing.assert_allclose(
        tag_divergence(TEACHER, STUDENTS[0], temperature),
        coin_divergence(TEACHER, STUDENTS[0], temperature),
        rtol=1e-4,
        atol=1e-6,
    )


def test_loss_is_the_mean_over_experts_and_known_clips_times_the_squared_temperature() -> None:
    experts = [Logits(student, student) for student in STUDENTS]
    counts = LabelCounts.of(LABELS)
    loss = distillation_loss(Logits(TEACHER, TEACHER), experts, LABELS, CONFIG, counts)
    category = np.mean([softmax_divergence(TEACHER, student, 3.0)[[0, 2, 3, 5]].mean() for student in STUDENTS])
    tags = np.mean([coin_divergence(TEACHER, student, 3.0)[[0, 1, 3, 4]].mean() for student in STUDENTS])
    assert loss.item() == pytest.approx(9 * (2 * category + 5 * tags), rel=1e-5)


def test_the_mixture_learns_nothing_from_its_experts() -> None:
    teacher, student = TEACHER.clone().requires_grad_(), STUDENTS[0].clone().requires_grad_()
    answers = Logits(teacher, teacher)
    loss = distillation_loss(answers, [Logits(student, student)], LABELS, CONFIG, LabelCounts.of(LABELS))
    torch.autograd.backward(loss)
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.any()


def test_large_logits_have_finite_divergences_and_gradients() -> None:
    teacher = torch.tensor([[50.0, -50.0, 0.0], [-200.0, 200.0, 0.0]])
    student = (-teacher).requires_grad_()
    loss = category_divergence(teacher, student, 1.0).sum() + tag_divergence(teacher, student, 1.0).sum()
    torch.autograd.backward(loss)
    # Sure of the contrary: a category costs the difference of the logits, and a tag its logit.
    assert loss.item() == pytest.approx((100 + 400) + 2 * (50 + 200), rel=1e-5)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_low_precision_logits_are_compared_in_float32() -> None:
    short, rounded = (
        [Logits(logits.to(dtype), logits.to(dtype)) for logits in (TEACHER.bfloat16(), STUDENTS[0].bfloat16())]
        for dtype in (torch.bfloat16, torch.float32)
    )
    loss = distillation_loss(short[0], short[1:], LABELS, CONFIG, LabelCounts.of(LABELS))
    assert loss.dtype == torch.float32
    assert torch.equal(loss, distillation_loss(rounded[0], rounded[1:], LABELS, CONFIG, LabelCounts.of(LABELS)))
