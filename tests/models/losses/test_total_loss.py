"""Which losses are added up, over which clips, and with which factors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from models.config.training import TrainConfig
from models.data.batching import BatchLabels
from models.heads.logits import Logits, Outputs
from models.losses.class_weights import ClassWeights
from models.losses.head_losses import LabelCounts
from models.losses.total_loss import flood, total_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONFIG = TrainConfig(
    label_smoothing=0.0, category_weight=2.0, tag_weight=3.0, auxiliary_weight=0.5, distillation_weight=0.7
)
LABELS = BatchLabels(
    category=torch.tensor([0, 1, -1, 1]),
    tags=torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]),
    tags_known=torch.tensor([True, False, True, True]),
)


def random_answers(seed: int, num_clips: int = 4) -> Logits:
    generator = torch.Generator().manual_seed(seed)
    return Logits(
        torch.randn(num_clips, 2, generator=generator, requires_grad=True),
        torch.randn(num_clips, 2, generator=generator, requires_grad=True),
    )


def outputs_of(
    answers: Logits,
    *,
    branches: Sequence[Logits] = (),
    modalities: Sequence[Logits] = (),
    present: Tensor | None = None,
    experts: Sequence[Logits] = (),
) -> Outputs:
    some = answers.category_logits if answers.category_logits is not None else answers.tag_logits
    num_clips = 0 if some is None else len(some)
    return Outputs(
        logits=answers,
        embedding=torch.zeros(num_clips, 1),
        branches=tuple(branches),
        modalities={f"modality{i}": each for i, each in enumerate(modalities)},
        present=torch.ones(num_clips, len(modalities), dtype=torch.bool) if present is None else present,
        experts=tuple(experts),
    )


def full_outputs(num_clips: int = 4) -> Outputs:
    """Outputs that have everything that a loss looks at."""
    answers = [random_answers(seed, num_clips) for seed in range(7)]
    return outputs_of(answers[0], branches=answers[1:3], modalities=answers[3:5], experts=answers[5:])


def all_logits(outputs: Outputs) -> list[Tensor]:
    """The logits that the loss of ``full_outputs`` should reach."""
    answers = [*outputs.branches, *outputs.modalities.values(), *outputs.experts]
    return [logits for each in answers for logits in (each.category_logits, each.tag_logits) if logits is not None]


def cross_entropy(answers: Logits, clip: int) -> float:
    assert answers.category_logits is not None
    powers = answers.category_logits[clip].detach().exp()
    return -math.log(float(powers[LABELS.category[clip]] / powers.sum()))


def binary_cross_entropy(answers: Logits, clip: int) -> float:
    """Mean over the two tags."""
    assert answers.tag_logits is not None
    signs = 2 * LABELS.tags[clip] - 1
    return float((1 + (-signs * answers.tag_logits[clip].detach()).exp()).log().mean())


def sum_over(clips: Sequence[int], loss: Callable[[Logits, int], float], answers: Logits) -> float:
    return sum(loss(answers, clip) for clip in clips)


def plain(answers: Logits) -> float:
    """The loss of one set of answers: clips 0, 1 and 3 have a category, and clips 0, 2 and 3 tags."""
    category = sum_over((0, 1, 3), cross_entropy, answers) / 3
    tags = sum_over((0, 2, 3), binary_cross_entropy, answers) / 3
    return 2 * category + 3 * tags


def test_answers_by_hand_leave_out_what_is_not_known() -> None:
    answers = random_answers(0)
    assert total_loss(outputs_of(answers), LABELS, CONFIG).item() == pytest.approx(plain(answers))


def test_a_head_that_is_not_there_adds_nothing() -> None:
    answers = random_answers(0)
    category = sum_over((0, 1, 3), cross_entropy, answers) / 3
    only_category = outputs_of(replace(answers, tag_logits=None))
    only_tags = outputs_of(replace(answers, category_logits=None))
    assert total_loss(only_category, LABELS, CONFIG).item() == pytest.approx(2 * category)
    assert total_loss(only_tags, LABELS, CONFIG).item() == pytest.approx(plain(answers) - 2 * category)


def test_branches_stand_in_for_the_answers() -> None:
    answers, first, second = (random_answers(seed) for seed in range(3))
    loss = total_loss(outputs_of(answers, branches=(first, second)), LABELS, CONFIG)
    assert loss.item() == pytest.approx(plain(first) + plain(second))


def test_a_modality_learns_from_the_clips_that_have_it() -> None:
    answers, first, second = (random_answers(seed) for seed in range(3))
    present = torch.tensor([[True, False], [True, True], [False, True], [True, False]])
    loss = total_loss(outputs_of(answers, modalities=(first, second), present=present), LABELS, CONFIG)
    of_first = 2 * sum_over((0, 1, 3), cross_entropy, first) / 3 + sum_over((0, 3), binary_cross_entropy, first)
    of_second = 2 * sum_over((1,), cross_entropy, second) / 3 + sum_over((2,), binary_cross_entropy, second)
    assert loss.item() == pytest.approx(plain(answers) + 0.5 * (of_first + of_second) / 2)


def test_experts_learn_the_labels_and_the_mixture() -> None:
    answers, first, second = (random_answers(seed) for seed in range(3))
    same = total_loss(outputs_of(answers, experts=(answers, answers)), LABELS, CONFIG)
    assert same.item() == pytest.approx(1.7 * plain(answers))  # nothing to learn from the mixture
    other = total_loss(outputs_of(answers, experts=(first, second)), LABELS, CONFIG)
    assert other.item() > plain(answers) + 0.7 * (plain(first) + plain(second)) / 2


@pytest.mark.parametrize("category_loss", ["cross_entropy", "focal"])
@pytest.mark.parametrize("tag_loss", ["binary_cross_entropy", "focal", "asymmetric"])
def test_nothing_known_gives_zero_and_zero_gradients(category_loss: str, tag_loss: str) -> None:
    outputs = full_outputs()
    labels = replace(LABELS, category=torch.full((4,), -1), tags_known=torch.zeros(4, dtype=torch.bool))
    loss = total_loss(outputs, labels, replace(CONFIG, category_loss=category_loss, tag_loss=tag_loss))
    assert loss.item() == 0
    for gradient in torch.autograd.grad(loss, all_logits(outputs)):
        assert not gradient.any()


def test_an_empty_batch_gives_zero_and_can_be_learned() -> None:
    outputs = full_outputs(0)
    labels = BatchLabels(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool))
    loss = total_loss(outputs, labels, CONFIG)
    assert loss.item() == 0
    assert all(gradient.shape == (0, 2) for gradient in torch.autograd.grad(loss, all_logits(outputs)))


def test_halves_of_a_batch_have_together_the_gradients_of_the_whole() -> None:
    outputs = full_outputs()
    weights = ClassWeights(torch.tensor([0.5, 1.5]), torch.tensor([2.0, 1.0]))
    whole = torch.autograd.grad(total_loss(outputs, LABELS, CONFIG, weights=weights), all_logits(outputs))
    halves = []
    for half in (slice(0, 1), slice(1, 4)):
        labels = BatchLabels(LABELS.category[half], LABELS.tags[half], LABELS.tags_known[half])
        loss = total_loss(
            rows_of(outputs, half), labels, CONFIG, counts=LabelCounts(category=3 / 2, tags=3 / 2), weights=weights
        )
        halves.append(torch.autograd.grad(loss, all_logits(outputs)))
    for expected, first, second in zip(whole, *halves, strict=True):
        torch.testing.assert_close((first + second) / 2, expected)


def rows_of(outputs: Outputs, rows: slice) -> Outputs:
    def cut(answers: Logits) -> Logits:
        assert answers.category_logits is not None
        assert answers.tag_logits is not None
        return Logits(answers.category_logits[rows], answers.tag_logits[rows])

    return Outputs(
        cut(outputs.logits),
        outputs.embedding[rows],
        tuple(cut(each) for each in outputs.branches),
        {name: cut(each) for name, each in outputs.modalities.items()},
        outputs.present[rows],
        tuple(cut(each) for each in outputs.experts),
    )


def test_class_weights_by_hand() -> None:
    answers = random_answers(0)
    weights = ClassWeights(category=torch.tensor([0.5, 4.0]), tag_positive=torch.tensor([10.0, 1.0]))
    category = (0.5 * cross_entropy(answers, 0) + 4 * sum_over((1, 3), cross_entropy, answers)) / 3
    assert answers.tag_logits is not None
    # Of the clips with known tags, 0 and 2 have the first tag.
    added = 9 * sum(math.log(1 + math.exp(-answers.tag_logits[clip, 0].item())) / 2 for clip in (0, 2))
    tags = (sum_over((0, 2, 3), binary_cross_entropy, answers) + added) / 3
    loss = total_loss(outputs_of(answers), LABELS, CONFIG, weights=weights)
    assert loss.item() == pytest.approx(2 * category + 3 * tags)


@pytest.mark.parametrize("autocast", [True, False])
def test_low_precision_logits_are_summed_in_float32(autocast: bool) -> None:
    answers = random_answers(0)
    assert answers.category_logits is not None
    assert answers.tag_logits is not None
    short = Logits(answers.category_logits.bfloat16(), answers.tag_logits.bfloat16())
    rounded = Logits(answers.category_logits.bfloat16().float(), answers.tag_logits.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = total_loss(outputs_of(short, modalities=(short,), experts=(short,)), LABELS, CONFIG)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((1 + 0.5 + 0.7) * plain(rounded), rel=1e-6)


def slope(loss: float, level: float, global_loss: float | None = None) -> tuple[float, float]:
    """The flooded loss, and its slope."""
    tensor = torch.tensor(loss, requires_grad=True)
    flooded = flood(tensor, level, global_loss)
    torch.autograd.backward(flooded)
    return flooded.item(), 0.0 if tensor.grad is None else tensor.grad.item()


def test_flood_by_hand() -> None:
    assert slope(3.0, 0.5) == (3.0, 1.0)
    assert slope(0.25, 0.5) == (0.75, -1.0)
    assert slope(0.25, 0.0) == (0.25, 1.0)
    assert slope(0.0, 0.0) == (0.0, 1.0)


def test_all_processes_are_on_one_side_of_the_flood() -> None:
    own = (0.25, 1.25)  # the mean is above the level
    assert [slope(loss, 0.5, sum(own) / 2) for loss in own] == [(0.25, 1.0), (1.25, 1.0)]
    own = (0.125, 0.625)  # the mean is below it
    found = [slope(loss, 0.5, sum(own) / 2) for loss in own]
    assert [direction for _, direction in found] == [-1.0, -1.0]
    assert sum(value for value, _ in found) / 2 == slope(sum(own) / 2, 0.5)[0]
