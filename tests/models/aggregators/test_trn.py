from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from models.aggregators.trn import Scale, TemporalRelations, combination_at

Float64 = npt.NDArray[np.float64]


def layer(module: nn.Module, steps: Float64) -> Float64:
    assert isinstance(module, nn.Linear)
    result: Float64 = module.weight.detach().double().numpy() @ steps + module.bias.detach().double().numpy()
    return result


def relu(values: Float64) -> Float64:
    return np.maximum(values, 0)


def transcription(module: TemporalRelations, clip: Float64, choices: dict[int, list[tuple[int, ...]]]) -> Float64:
    """Equations 1 and 2 of arXiv 1711.08496 by loops, for one clip ``(steps, D)``."""
    steps = [relu(layer(module.reduce, step)) for step in clip]
    output = np.zeros(module.output_dim)
    for scale, relations in zip(itertools.count(2), module.relations, strict=False):
        assert isinstance(relations, Scale)
        total = np.zeros(module.output_dim)
        for members in choices[scale]:
            joined = np.concatenate([steps[i] for i in members])
            total += relu(layer(relations.relate[2], relu(layer(relations.relate[0], joined))))
        output += layer(relations.combine, total)
    return output


def clip(num_steps: int) -> torch.Tensor:
    return torch.randn(1, num_steps, 5, generator=torch.Generator().manual_seed(num_steps))


def answer(module: TemporalRelations, features: torch.Tensor) -> Float64:
    output: Float64 = module(features, torch.ones(features.shape[:2], dtype=torch.bool))[0].detach().double().numpy()
    return output


@pytest.mark.parametrize(("num_segments", "max_scale"), [(4, 3), (3, 3), (5, 5)])
def test_output_equals_the_paper(num_segments: int, max_scale: int) -> None:
    module = TemporalRelations(5, num_segments=num_segments, max_scale=max_scale, max_relations=100, width=6).eval()
    features = clip(num_segments)
    choices = {scale: list(itertools.combinations(range(num_segments), scale)) for scale in range(2, max_scale + 1)}
    expected = transcription(module, features[0].double().numpy(), choices)
    # float32 against float64
    np.testing.assert_allclose(answer(module, features), expected, rtol=1e-4, atol=1e-5)


def test_many_choices_are_thinned_to_evenly_spread_ones() -> None:
    module = TemporalRelations(5, num_segments=6, max_scale=3, max_relations=4, width=6).eval()
    features = clip(6)
    # 15 pairs, of which the middles of four even parts of the list: numbers 1, 5, 9 and 13; and 20 triples.
    pairs = [combination_at(6, 2, rank) for rank in (1, 5, 9, 13)]
    assert pairs == [(0, 2), (1, 2), (2, 3), (3, 5)]
    triples = [combination_at(6, 3, rank) for rank in (2, 7, 12, 17)]
    expected = transcription(module, features[0].double().numpy(), {2: pairs, 3: triples})
    np.testing.assert_allclose(answer(module, features), expected, rtol=1e-4, atol=1e-5)


def test_a_long_clip_gives_the_middles_of_its_parts() -> None:
    module = TemporalRelations(5, num_segments=3, width=6).eval()
    features = clip(12)
    np.testing.assert_array_equal(answer(module, features), answer(module, features[:, [2, 6, 10]]))


def test_a_short_clip_has_only_the_relations_among_its_steps() -> None:
    module = TemporalRelations(5, num_segments=8, max_scale=4, width=6).eval()
    features = clip(2)
    relations = module.relations[0]
    assert isinstance(relations, Scale)
    steps = relu(np.stack([layer(module.reduce, step) for step in features[0].double().numpy()]))
    related = relu(layer(relations.relate[2], relu(layer(relations.relate[0], steps.ravel()))))
    np.testing.assert_allclose(answer(module, features), layer(relations.combine, related), rtol=1e-4, atol=1e-5)


def test_a_clip_of_one_step_has_no_relation() -> None:
    assert not answer(TemporalRelations(5, width=6), clip(1)).any()


def test_largest_scale_is_capped_by_the_segments() -> None:
    assert len(TemporalRelations(5, num_segments=3, max_scale=4).relations) == 2
