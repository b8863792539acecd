from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.aggregators.onednn_linear import dense
from models.data.masking import place_rows, valid_rows

# Rows, width in and out: enough for oneDNN, too few, and none.
SIZES = [(256, 512, 256), (3, 4, 5), (0, 4, 5)]


def gradients(rows: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Of a sum that weighs each output differently, by the module's own dense layer; its output first."""
    leaves = [tensor.clone().requires_grad_() for tensor in (rows, weight, bias) if tensor is not None]
    output = dense(*leaves)
    outward = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    return [output.detach(), *torch.autograd.grad((output * outward).sum(), leaves)]


@pytest.mark.parametrize(("num_rows", "width_in", "width_out"), SIZES)
@pytest.mark.parametrize("has_bias", [True, False])
def test_output_and_gradients_are_those_of_a_linear_map(
    num_rows: int, width_in: int, width_out: int, has_bias: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(num_rows, width_in, generator=generator)
    weight = torch.randn(width_out, width_in, generator=generator)
    bias = torch.randn(width_out, generator=generator) if has_bias else None
    outward = torch.randn(num_rows, width_out, generator=torch.Generator().manual_seed(1)).double()
    product = rows.double() @ weight.double().t()
    expected = [product + bias.double() if bias is not None else product]
    expected += [outward @ weight.double(), outward.t() @ rows.double()]
    if bias is not None:
        expected.append(outward.sum(dim=0))
    for found, wanted in zip(gradients(rows, weight, bias), expected, strict=True):
        # float32 sums of 512 products against float64
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")  # type: ignore[no-untyped-call]
def test_many_rows_go_through_onednn_and_few_do_not() -> None:
    weight = torch.ones(256, 512, requires_grad=True)
    assert "ToDense" in type(dense(torch.ones(256, 512), weight).grad_fn).__name__
    assert "ToDense" not in type(dense(torch.ones(2, 512), weight).grad_fn).__name__


def test_autocast_is_obeyed() -> None:
    rows, weight = torch.ones(256, 512), torch.ones(256, 512)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert dense(rows, weight).dtype == torch.bfloat16
    assert dense(rows, weight).dtype == torch.float32


def test_arguments_stay_as_they_are() -> None:
    rows = torch.randn(256, 512, generator=torch.Generator().manual_seed(0))
    before = rows.clone()
    output = dense(rows, torch.ones(256, 512))
    output.add_(1)
    assert torch.equal(rows, before)


def test_rows_are_the_valid_steps_and_return_to_their_places() -> None:
    features = torch.arange(1.0, 13.0).view(2, 3, 2)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    rows = valid_rows(features, mask)
    assert rows.tolist() == [[1.0, 2.0], [5.0, 6.0], [11.0, 12.0]]
    assert torch.equal(place_rows(rows, mask), features * mask.unsqueeze(2))


def test_rows_of_a_full_batch_are_the_batch() -> None:
    features = torch.arange(12.0).view(2, 3, 2)
    mask = torch.ones(2, 3, dtype=torch.bool)
    rows = valid_rows(features, mask)
    assert torch.equal(rows, features.view(6, 2))
    assert torch.equal(place_rows(rows, mask), features)
