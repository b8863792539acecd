from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from models.aggregators.trn_x import TemporalSegments, average_neighbours
from models.config.network import NetworkConfig
from models.network.build import build_aggregator

Float64 = npt.NDArray[np.float64]


def layer(module: nn.Linear, values: Float64) -> Float64:
    result: Float64 = module.weight.detach().double().numpy() @ values + module.bias.detach().double().numpy()
    return result


def relu(values: Float64) -> Float64:
    return np.maximum(values, 0)


def transcription(module: TemporalSegments, segments: Float64, pooled: Float64) -> Float64:
    """The module by loops, for the segments ``(L, D)`` and the attention pooling ``(D,)`` of one clip."""
    reach = module.num_neighbours
    places = np.zeros((module.num_segments, module.reduce.out_features))
    for i in range(len(segments)):
        around = segments[max(0, i - reach) : i + reach + 1].mean(axis=0)
        places[i] = relu(layer(module.reduce, around))
    hidden = relu(layer(module.hidden, places.ravel()))
    return relu(layer(module.project, hidden) + layer(module.residual, pooled))


@pytest.mark.parametrize("num_neighbours", [0, 1, 2])
def test_output_equals_a_transcription(num_neighbours: int) -> None:
    module = TemporalSegments(5, num_segments=4, num_neighbours=num_neighbours, width=6, output_width=7).eval()
    features = torch.randn(3, 12, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(12) < torch.tensor([[12], [4], [2]])
    # The middles of four even parts; then a clip of four steps and one of two, as they are.
    picked = ([1, 4, 7, 10], [0, 1, 2, 3], [0, 1])
    output = module(features, mask).detach().double().numpy()
    pooled = module.pool(features, mask).detach().double().numpy()
    for row, steps in enumerate(picked):
        expected = transcription(module, features[row, steps].double().numpy(), pooled[row])
        assert expected.any()
        # float32 against float64
        np.testing.assert_allclose(output[row], expected, rtol=1e-4, atol=1e-5)


def test_neighbours_are_averaged_over_those_that_are_there() -> None:
    steps = torch.tensor([[[1.0], [2.0], [6.0], [100.0]]])
    mask = torch.tensor([[True, True, True, False]])
    assert average_neighbours(steps, mask, 1)[0, :3, 0].tolist() == [1.5, 3.0, 4.0]
    assert average_neighbours(steps, mask, 2)[0, :3, 0].tolist() == [3.0, 3.0, 3.0]
    assert torch.equal(average_neighbours(steps, mask, 0), steps)


def test_padding_has_no_influence_on_averaged_neighbours() -> None:
    module = TemporalSegments(5, num_segments=4, num_neighbours=1).eval()
    features = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 3, [True, True, False]])
    padded = torch.cat([features, torch.full((2, 50, 5), torch.nan)], dim=1)
    padded_mask = torch.cat([mask, mask.new_zeros(2, 50)], dim=1)
    torch.testing.assert_close(module(padded, padded_mask), module(features, mask), rtol=0, atol=1e-5)


def test_steps_between_the_segments_reach_the_output_through_the_attention_alone() -> None:
    module = TemporalSegments(5, num_segments=2).eval()
    features = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(0))
    other = features.clone()
    other[0, 0] += 1  # The segments are steps 1 and 4.
    mask = torch.ones(1, 6, dtype=torch.bool)
    assert (module(other, mask) - module(features, mask)).abs().max() > 1e-3
    nn.init.zeros_(module.residual.weight)
    assert torch.equal(module(other, mask), module(features, mask))


def test_sizes_of_the_settings() -> None:
    config = NetworkConfig(trn_segments=3, trn_width=10, attention_width=4, dropout=0.25, random_steps=True)
    module = build_aggregator("trn_x", 5, config)
    assert isinstance(module, TemporalSegments)
    assert module.output_dim == 20
    assert module.hidden.in_features == 30
    assert module.pool.hidden.out_features == 8
    assert module.dropout.p == 0.25
    assert module.random_steps
