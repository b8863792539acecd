"""The lower bound that the training loss is kept near."""

from __future__ import annotations

import torch

from models.losses.total_loss import flood


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
