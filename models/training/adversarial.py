"""Adversarial training: a second loss on embeddings that are perturbed where the loss grows.

Two perturbations: the fast gradient method (FGM; Miyato et al. 2017, arXiv 1605.07725) and projected
gradient descent (PGD; Madry et al. 2018, arXiv 1706.06083). They are added to a clip's prepared steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from features.base.modalities import network_group
from models.data.masking import frozen_statistics, zero_padding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.config.training import TrainConfig

# The iterations of PGD are together this many times as long as its radius, so that they can reach and follow the edge.
_STEP_FACTOR = 2.5


class LossFunction(Protocol):
    """A forward pass over one batch."""

    def __call__(
        self, perturbations: Mapping[str, Tensor] | None, captured: dict[str, Tensor] | None, *, is_last: bool
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            perturbations: As of ``VideoNetwork.forward``.
            captured: As of ``VideoNetwork.forward``.
            is_last: Whether the backward pass of this loss is the last one of the update that reaches the weights.
        """


def adversarial_step(
    loss_of: LossFunction,
    network: nn.Module,
    masks: Mapping[str, Tensor],
    config: TrainConfig,
    *,
    flooded: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the loss of the unperturbed clips, a detached scalar, after all backward passes of one update.

    The gradients of that loss, and ``adversarial_weight`` times those of the loss of the perturbed clips, are added to
    the gradients of the weights. One backward pass gives the former and the first perturbation. The running
    statistics are those of the unperturbed clips; dropout is drawn again in each pass.

    Args:
        loss_of: Forward pass of ``network`` over the batch, without any backward pass.
        network: In training mode.
        masks: Modality -> ``(B, T)`` bool of the batch, False is padding.
        config: ``adversarial`` none makes this a plain forward and backward pass.
        flooded: Applied to each loss before its backward pass. The perturbations follow the loss itself.
    """
    flooded = flooded or _unchanged
    captured: dict[str, Tensor] | None = None if config.adversarial == "none" else {}
    loss = loss_of(None, captured, is_last=captured is None)
    loss.retain_grad()
    torch.autograd.backward(flooded(loss))
    if captured is not None:
        # Flooding below its level reverses all gradients; the sign of d flooded / d loss undoes that.
        slope = torch.zeros_like(loss) if loss.grad is None else loss.grad
        gradients = {name: slope.sign() * _gradient(steps.grad, steps) for name, steps in captured.items()}
        with frozen_statistics(network):
            perturbations = _final_perturbations(loss_of, gradients, masks, config)
            torch.autograd.backward(config.adversarial_weight * flooded(loss_of(perturbations, None, is_last=True)))
    return loss.detach()


def next_perturbations(
    gradients: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    config: TrainConfig,
    *,
    perturbations: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Return the perturbations after one more iteration along the gradients, without modalities of strength 0.

    With the strength e, FGM perturbs a clip by e g / |g|, and PGD by 2.5 e / N of that in each of N iterations,
    projected into the ball of radius e. Lengths are over all steps and units of a clip's modality together.

    Args:
        gradients: Modality -> ``(B, T, D)``, of the loss at the current perturbations. A clip without gradient,
            such as one that lacks the modality, is not perturbed.
        masks: Modality -> ``(B, T)`` bool; padding is not perturbed.
        config: The strengths.
        perturbations: Those so far; None at the start.
    """
    length = 1.0 if config.adversarial == "fgm" else _STEP_FACTOR / config.adversarial_steps
    found: dict[str, Tensor] = {}
    for name, gradient in gradients.items():
        strength = strength_of(name, config)
        if strength > 0:
            step = length * strength * _directions(zero_padding(gradient.float(), masks[name]))
            found[name] = _into_ball(step if perturbations is None else perturbations[name] + step, strength)
    return found


def strength_of(modality: str, config: TrainConfig) -> float:
    """Return the largest length of a perturbation; a modality without a setting has that of its group."""
    of_group = getattr(config, f"adversarial_{network_group(modality)}")
    return float(getattr(config, f"adversarial_{modality}", of_group))


def _final_perturbations(
    loss_of: LossFunction, gradients: Mapping[str, Tensor], masks: Mapping[str, Tensor], config: TrainConfig
) -> dict[str, Tensor]:
    """Return the perturbations to learn from; the passes before leave no gradients in the weights."""
    perturbations = next_perturbations(gradients, masks, config)
    num_more = config.adversarial_steps - 1 if config.adversarial == "pgd" else 0
    for _ in range(num_more):
        captured: dict[str, Tensor] = {}
        loss = loss_of(perturbations, captured, is_last=False)
        found = torch.autograd.grad(loss, list(captured.values()), allow_unused=True)
        gradients = {name: _gradient(g, captured[name]) for name, g in zip(captured, found, strict=True)}
        perturbations = next_perturbations(gradients, masks, config, perturbations=perturbations)
    return perturbations


def _gradient(found: Tensor | None, steps: Tensor) -> Tensor:
    """Return the gradient of steps, zeros where the loss does not depend on them."""
    return torch.zeros_like(steps) if found is None else found


def _directions(gradient: Tensor) -> Tensor:
    """Return the gradient ``(B, T, D)`` scaled to length 1 for each clip, or 0 where it is 0."""
    # Squares of gradients of 1e-23 underflow; those of numbers up to 1 do not.
    largest = gradient.abs().amax(dim=(1, 2), keepdim=True)
    scaled = gradient / largest.masked_fill(largest == 0, 1.0)
    return scaled / _lengths(scaled).clamp(min=1.0)  # a length is at least 1 now, or 0


def _into_ball(perturbations: Tensor, radius: float) -> Tensor:
    """Return perturbations ``(B, T, D)``, those longer than ``radius`` scaled down to it."""
    return perturbations * (radius / _lengths(perturbations).clamp(min=radius))


def _lengths(perturbations: Tensor) -> Tensor:
    """Return the length of each clip's perturbation, ``(B, 1, 1)``."""
    lengths: Tensor = torch.linalg.vector_norm(perturbations, dim=(1, 2), keepdim=True)
    return lengths


def _unchanged(loss: Tensor) -> Tensor:
    return loss
