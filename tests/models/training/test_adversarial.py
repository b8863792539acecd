"""Adversarial training: where embeddings move, and what is learned from it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config.training import TrainConfig
from models.data.batching import Batch, iterate_batches
from models.data.masking import MaskedBatchNorm, frozen_statistics, masked_mean
from models.losses.total_loss import flood, total_loss
from models.network.network import VideoNetwork
from models.training.adversarial import adversarial_step, next_perturbations
from tests.models.synthetic import SMALL_NETWORK, random_labels, random_source

if TYPE_CHECKING:
    from collections.abc import Mapping

FGM = TrainConfig(
    adversarial="fgm",
    adversarial_weight=0.7,
    adversarial_frames=0.5,
    adversarial_motion=0.4,
    adversarial_audio=0.3,
    adversarial_text=0.2,
    adversarial_cover=0.1,
)
NETWORK = replace(SMALL_NETWORK, frames_aggregator="nextvlad", audio_aggregator="mean")
PGD = replace(FGM, adversarial="pgd", adversarial_steps=4)
STRENGTHS = {"frames": 0.5, "motion": 0.4, "audio": 0.3, "text": 0.2, "cover": 0.1, "other": 0.5}


def random_gradients(names: Mapping[str, float], scale: float = 1.0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradients and masks of 4 clips; clip 1 has no gradient, and clip 2 has a single step."""
    generator = torch.Generator().manual_seed(0)
    gradients, masks = {}, {}
    for name in names:
        gradients[name] = scale * torch.randn(4, 5, 3, generator=generator)
        gradients[name][1] = 0
        masks[name] = torch.arange(5) < torch.tensor([5, 4, 1, 3]).unsqueeze(1)
    return gradients, masks


class TestMoves:
    def test_by_hand(self) -> None:
        gradients = {"frames": torch.tensor([[[3.0, 0.0], [0.0, -4.0], [9.0, 9.0]]])}
        masks = {"frames": torch.tensor([[True, True, False]])}
        config = TrainConfig(adversarial="fgm", adversarial_frames=10.0)
        assert next_perturbations(gradients, masks, config)["frames"].tolist() == [
            [[6.0, 0.0], [0.0, -8.0], [0.0, 0.0]]
        ]

    # Squares of the smaller ones would all be 0 in float32, and those of the larger ones infinite.
    @pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
    @pytest.mark.parametrize("config", [FGM, replace(PGD, adversarial_steps=1)])
    def test_every_clip_moves_by_its_modalitys_strength(self, scale: float, config: TrainConfig) -> None:
        gradients, masks = random_gradients(STRENGTHS, scale)
        perturbations = next_perturbations(gradients, masks, config)
        for name, strength in STRENGTHS.items():
            lengths = perturbations[name].flatten(1).norm(dim=1)
            torch.testing.assert_close(lengths, strength * torch.tensor([1.0, 0.0, 1.0, 1.0]))
            assert not perturbations[name][~masks[name]].any()

    def test_what_stands_in_the_padding_moves_nothing(self) -> None:
        gradients, masks = random_gradients({"audio": 1.0})
        expected = next_perturbations(gradients, masks, FGM)["audio"]
        gradients["audio"][~masks["audio"]] = math.nan
        assert torch.equal(next_perturbations(gradients, masks, FGM)["audio"], expected)

    def test_no_strength_is_no_move(self) -> None:
        gradients, masks = random_gradients({"audio": 1.0, "cover": 1.0})
        assert set(next_perturbations(gradients, masks, replace(FGM, adversarial_audio=0.0))) == {"cover"}

    def test_small_steps_add_up_and_stay_in_the_ball(self) -> None:
        gradients, masks = random_gradients({"frames": 0.5})
        one = next_perturbations(gradients, masks, PGD)
        # 2.5 radii in 4 steps.
        torch.testing.assert_close(one["frames"][0].norm(), torch.tensor(0.5 * 2.5 / 4))
        opposite = next_perturbations({"frames": -gradients["frames"]}, masks, PGD, perturbations=one)
        assert opposite["frames"].abs().max() < 1e-6
        perturbations = one
        for _ in range(3):
            perturbations = next_perturbations(gradients, masks, PGD, perturbations=perturbations)
        torch.testing.assert_close(perturbations["frames"], next_perturbations(gradients, masks, FGM)["frames"])


class Clips:
    """Random clips with a network that learns them."""

    def __init__(self) -> None:
        dims = {"frames": 6, "audio": 5}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = VideoNetwork(NETWORK, dims, 3, 4)
        labels = random_labels(12)
        self.batch: Batch = next(iterate_batches(random_source(12, dims), np.arange(12), NETWORK, 12, labels=labels))
        self.last: list[bool] = []

    def loss_of(
        self, perturbations: Mapping[str, Tensor] | None, captured: dict[str, Tensor] | None, *, is_last: bool
    ) -> Tensor:
        self.last.append(is_last)
        assert self.batch.labels is not None
        outputs = self.network(self.batch, perturbations=perturbations, captured=captured)
        return total_loss(outputs, self.batch.labels, TrainConfig())

    def gradients(self) -> dict[str, Tensor]:
        return {name: w.grad.clone() for name, w in self.network.named_parameters() if w.grad is not None}

    def moved_loss_and_gradients(self, perturbations: Mapping[str, Tensor] | None) -> tuple[float, dict[str, Tensor]]:
        """By a backward pass of its own."""
        self.network.zero_grad()
        loss = self.loss_of(perturbations, None, is_last=True)
        torch.autograd.backward(loss)
        return loss.item(), self.gradients()


def step_gradients(clips: Clips, perturbations: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    captured: dict[str, Tensor] = {}
    loss = clips.loss_of(perturbations, captured, is_last=False)
    return dict(zip(captured, torch.autograd.grad(loss, list(captured.values())), strict=True))


def expected_moves(clips: Clips, config: TrainConfig) -> dict[str, Tensor]:
    """The moves by passes of their own, transcribed from the papers."""
    is_pgd = config.adversarial == "pgd"
    perturbations = {name: torch.zeros_like(g) for name, g in step_gradients(clips).items()}
    for _ in range(config.adversarial_steps if is_pgd else 1):
        found = step_gradients(clips, perturbations)
        for name, gradient in found.items():
            radius = STRENGTHS[name]
            size = 2.5 * radius / config.adversarial_steps if is_pgd else radius
            for clip in range(len(gradient)):
                norm = float(gradient[clip].double().square().sum().sqrt())
                if norm > 0:
                    perturbations[name][clip] += size * gradient[clip] / norm
                length = float(perturbations[name][clip].double().square().sum().sqrt())
                perturbations[name][clip] *= min(1.0, radius / length) if length else 1.0
    return perturbations


@pytest.mark.parametrize("config", [FGM, PGD])
class TestStep:
    def test_weights_get_both_gradients(self, config: TrainConfig) -> None:
        clips = Clips()
        clean_loss, clean = clips.moved_loss_and_gradients(None)
        moved_loss, moved = clips.moved_loss_and_gradients(expected_moves(clips, config))
        assert moved_loss > clean_loss + 0.01
        clips.network.zero_grad()
        loss = adversarial_step(clips.loss_of, clips.network, clips.batch.masks, config)
        assert loss.item() == pytest.approx(clean_loss)
        assert not loss.requires_grad
        found = clips.gradients()
        assert set(found) == set(clean)
        for name, gradient in found.items():
            # Rounding differs between the moves of the two, and PGD's steps carry it on.
            torch.testing.assert_close(gradient, clean[name] + 0.7 * moved[name], rtol=1e-3, atol=1e-5)

    def test_passes(self, config: TrainConfig) -> None:
        clips = Clips()
        adversarial_step(clips.loss_of, clips.network, clips.batch.masks, config)
        num_passes = 2 if config.adversarial == "fgm" else 5
        assert clips.last == [False] * (num_passes - 1) + [True]

    def test_running_statistics_are_those_of_the_clean_pass(self, config: TrainConfig) -> None:
        clips, same = Clips(), Clips()
        same.loss_of(None, None, is_last=True)
        adversarial_step(clips.loss_of, clips.network, clips.batch.masks, config)
        before = dict(Clips().network.named_buffers())
        for name, buffer in clips.network.named_buffers():
            assert torch.equal(buffer, dict(same.network.named_buffers())[name])
            assert not torch.equal(buffer, before[name])
        clips.loss_of(None, None, is_last=True)  # and the next pass learns them again
        tracked = [norm.num_batches_tracked for norm in clips.network.modules() if isinstance(norm, MaskedBatchNorm)]
        assert {int(number) for number in tracked if number is not None} == {2}

    def test_flooding_turns_the_gradients_round_but_not_the_moves(self, config: TrainConfig) -> None:
        plain, flooded = Clips(), Clips()
        adversarial_step(plain.loss_of, plain.network, plain.batch.masks, config)
        adversarial_step(
            flooded.loss_of, flooded.network, flooded.batch.masks, config, flooded=lambda loss: flood(loss, 1e3)
        )
        for name, gradient in plain.gradients().items():
            torch.testing.assert_close(flooded.gradients()[name], -gradient)


def test_none_is_a_plain_step() -> None:
    clips, same = Clips(), Clips()
    _, expected = same.moved_loss_and_gradients(None)
    adversarial_step(clips.loss_of, clips.network, clips.batch.masks, TrainConfig())
    assert clips.last == [True]
    for name, gradient in clips.gradients().items():
        assert torch.equal(gradient, expected[name])


class Table(nn.Module):
    """A trained table whose rows are the steps of a text; there is audio too, which the loss does not look at."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))

    def loss_of(
        self,
        perturbations: Mapping[str, Tensor] | None,
        captured: dict[str, Tensor] | None,
        *,
        is_last: bool,  # noqa: ARG002 - one process
    ) -> Tensor:
        steps = {"text": self.rows.unsqueeze(0) * 1.0, "audio": torch.ones(1, 2, 2, requires_grad=True)}
        if captured is not None:
            for tensor in steps.values():
                tensor.retain_grad()
            captured.update(steps)
        moved = steps["text"] + (perturbations or {}).get("text", 0.0)
        return functional.mse_loss(masked_mean(moved, torch.ones(1, 2, dtype=torch.bool)), torch.zeros(1, 2))


@pytest.mark.parametrize("config", [FGM, PGD])
def test_steps_that_are_trained_move_too_and_unused_ones_stay(config: TrainConfig) -> None:
    table = Table()
    masks = {name: torch.ones(1, 2, dtype=torch.bool) for name in ("text", "audio")}
    adversarial_step(table.loss_of, table, masks, config)
    # The loss is (a^2 + b^2) / 2 of the mean row (a, b) = (2, 0.5); half of a weight's gradient is that of its mean.
    clean = torch.tensor([[2.0, 0.5]] * 2) / 2
    # Both rows move by 0.2 / sqrt(2) along (2, 0.5), and so does their mean.
    growth = 1 + 0.2 / math.sqrt(2) / math.hypot(2.0, 0.5)
    assert table.rows.grad is not None
    torch.testing.assert_close(table.rows.grad, clean + 0.7 * growth * clean)


def test_frozen_statistics_change_no_output() -> None:
    norm = MaskedBatchNorm(3)
    features = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    with frozen_statistics(nn.Sequential(norm)):
        frozen = norm(features)
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())
    assert torch.equal(norm(features), frozen)
    assert all(not torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


def test_statistics_thaw_after_an_error() -> None:
    norm = MaskedBatchNorm(3)
    with pytest.raises(ValueError, match="inside"), frozen_statistics(norm):
        raise ValueError("inside")
    assert not norm.is_frozen
