from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.data.masking import (
    MaskedBatchNorm,
    compact,
    masked_max,
    masked_mean,
    masked_softmax,
    zero_padding,
)

FEATURES = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [torch.nan, torch.inf]], [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0]]])
MASK = torch.tensor([[True, True, False], [False, False, False]])


def statistics(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """The running mean and variance as they are now."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()


def test_mean_max_and_zeros_by_hand() -> None:
    assert masked_mean(FEATURES, MASK).tolist() == [[2.0, -6.0], [0.0, 0.0]]
    assert masked_max(FEATURES, MASK).tolist() == [[3.0, -5.0], [0.0, 0.0]]
    assert zero_padding(FEATURES, MASK)[0, 2].tolist() == [0.0, 0.0]


def test_softmax_by_hand() -> None:
    weights = masked_softmax(torch.tensor([[0.0, math.log(3.0), 50.0], [1.0, 2.0, 3.0]]), MASK)
    torch.testing.assert_close(weights, torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]))


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_compact_keeps_the_valid_steps_in_order(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows)
    features = torch.arange(1.0, mask.numel() + 1).view(*mask.shape, 1)
    packed, front = compact(features, mask)
    assert packed.shape[1] == max(1, int(mask.sum(dim=1).max()))
    for row in range(len(rows)):
        kept = features[row][mask[row]]
        assert torch.equal(packed[row, : len(kept)], kept)
        assert not packed[row, len(kept) :].any()
        assert front[row].tolist() == [step < len(kept) for step in range(packed.shape[1])]


def test_batch_norm_equals_torch_on_the_valid_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4, 5, 3, generator=generator)
    mask = torch.rand(4, 5, generator=generator) < 0.6
    masked, plain = MaskedBatchNorm(3), nn.BatchNorm1d(3)
    for _ in range(3):
        output = masked(features, mask)
        assert torch.equal(output[mask], plain(features[mask]))
        assert not output[~mask].any()
    for ours, torchs in zip(statistics(masked), statistics(plain), strict=True):
        assert torch.equal(ours, torchs)
    assert torch.equal(masked.eval()(features, mask)[mask], plain.eval()(features[mask]))


@pytest.mark.parametrize("num_valid", [0, 1])
def test_batch_norm_of_less_than_two_rows_uses_and_keeps_the_running_statistics(num_valid: int) -> None:
    norm = MaskedBatchNorm(2)
    norm(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    mean, variance = statistics(norm)
    features = torch.full((1, 2, 2), 5.0)
    mask = torch.tensor([[True, False]]) if num_valid else torch.zeros(1, 2, dtype=torch.bool)
    output = norm.train()(features, mask)
    for now, before in zip(statistics(norm), (mean, variance), strict=True):
        assert torch.equal(now, before)
    expected = (5.0 - mean) / (variance + norm.eps).sqrt() * num_valid
    torch.testing.assert_close(output[0, 0], expected)


def test_batch_norm_without_momentum_keeps_the_mean_over_batches() -> None:
    norm = MaskedBatchNorm(1, momentum=None)
    norm(torch.tensor([[0.0], [2.0]]))
    norm(torch.tensor([[5.0], [9.0]]))
    mean, variance = statistics(norm)
    assert mean.item() == pytest.approx((1 + 7) / 2)
    assert variance.item() == pytest.approx((2 + 8) / 2)
