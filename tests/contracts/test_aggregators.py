"""What every aggregator promises, checked over the whole table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from models.aggregators import AGGREGATORS
from models.config.network import NetworkConfig
from models.data.masking import MaskedBatchNorm
from models.network.build import build_aggregator

if TYPE_CHECKING:
    from models.aggregators.base import Aggregator

INPUT_DIM = 12
LENGTHS = (9, 1, 4, 0, 8)
NAMES = sorted(AGGREGATORS)


def build(name: str) -> Aggregator:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        aggregator = AGGREGATORS[name](INPUT_DIM)
        for module in aggregator.modules():
            # Norms that are not the identity: a padded step that slipped through would be shifted into sight.
            if isinstance(module, MaskedBatchNorm):
                torch.nn.init.normal_(module.weight)
                torch.nn.init.normal_(module.bias)
    return aggregator


def clips() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(LENGTHS), max(LENGTHS), INPUT_DIM, generator=generator)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
    return features, mask


def reorder(features: Tensor, mask: Tensor) -> Tensor:
    """The valid steps of each row from last to first."""
    flipped = features.clone()
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        flipped[row, :length] = features[row, :length].flip(0)
    return flipped


def test_default_for_frames_sees_the_order() -> None:
    assert AGGREGATORS[NetworkConfig().frames_aggregator].order_aware


@pytest.mark.parametrize("name", NAMES)
def test_shape_is_as_announced(name: str) -> None:
    features, mask = clips()
    for aggregator in (build(name), build_aggregator(name, INPUT_DIM, NetworkConfig())):
        assert aggregator(features, mask).shape == (len(LENGTHS), aggregator.output_dim)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("garbage", [100.0, float("nan")])
def test_padding_has_no_influence(name: str, training: bool, garbage: float) -> None:
    features, mask = clips()
    noise = garbage * torch.randn(len(LENGTHS), 50, INPUT_DIM, generator=torch.Generator().manual_seed(1))
    padded = torch.cat([features, noise], dim=1)
    padded_mask = torch.cat([mask, mask.new_zeros(len(LENGTHS), 50)], dim=1)
    plain, other = build(name).train(training), build(name).train(training)
    torch.testing.assert_close(other(padded, padded_mask), plain(features, mask), rtol=0, atol=1e-5)
    # The statistics of the batch norms, too.
    for buffer, expected in zip(other.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_gap_in_the_mask_counts_like_padding_at_the_end(name: str, training: bool) -> None:
    features, _ = clips()
    mask = torch.tensor([True, False, True, True, False, False, True, False, False]).expand(len(LENGTHS), -1)
    closed = features[:, mask[0]]
    open_one, closed_one = build(name).train(training), build(name).train(training)
    expected = closed_one(closed, torch.ones(closed.shape[:2], dtype=torch.bool))
    torch.testing.assert_close(open_one(features, mask), expected, rtol=0, atol=1e-5)
    for buffer, other in zip(open_one.buffers(), closed_one.buffers(), strict=True):
        torch.testing.assert_close(buffer, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_empty_row_is_finite_and_leaves_the_others_alone(name: str, training: bool) -> None:
    features, mask = clips()
    full = mask.any(dim=1)
    output = build(name).train(training)(features, mask)
    assert torch.isfinite(output).all()
    alone = build(name).train(training)(features[full], mask[full])
    torch.testing.assert_close(output[full], alone, rtol=0, atol=1e-5)
    assert torch.isfinite(build(name).train(training)(features, torch.zeros_like(mask))).all()


@pytest.mark.parametrize("name", NAMES)
def test_arguments_stay_as_they_are(name: str) -> None:
    features, mask = clips()
    before, mask_before = features.clone(), mask.clone()
    build(name)(features.requires_grad_(), mask).sum().backward()
    assert torch.equal(features, before)
    assert torch.equal(mask, mask_before)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: str) -> None:
    features, mask = clips()
    aggregator = build(name)
    output = aggregator(features.requires_grad_(), mask)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    (output * weights).sum().backward()
    assert features.grad is not None
    assert (features.grad[mask].abs().amax(dim=1) > 0).any()
    assert not features.grad[~mask].any()
    for parameter_name, parameter in aggregator.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_products_in_bfloat16_give_nearly_the_same(name: str) -> None:
    features, mask = clips()
    expected = build(name).eval()(features, mask).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = build(name).eval()(features, mask)
    # A few products in a row, of 8 bits of precision each.
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=0.05 * float(expected.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_of_training_give_the_same_bits(name: str) -> None:
    features, mask = clips()
    gradients = []
    for _ in range(2):
        aggregator = build(name)
        output = aggregator(features, mask)
        if output.requires_grad:
            output.square().sum().backward()
        gradients.append([output, *(parameter.grad for parameter in aggregator.parameters())])
    assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_order_matters_exactly_where_promised(name: str) -> None:
    features, mask = clips()
    aggregator = build(name).eval()
    difference = (aggregator(reorder(features, mask), mask) - aggregator(features, mask)).abs().amax(dim=1)
    has_order = mask.sum(dim=1) > 1
    if aggregator.order_aware:
        assert (difference[has_order] > 1e-3).all()
    else:
        assert (difference < 1e-5).all()
    assert (difference[~has_order] < 1e-5).all()
