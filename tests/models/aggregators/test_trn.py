from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from models.aggregators.trn import Scale, TemporalRelations, combination_at, pick_segments, random_steps, relation_table
from models.config.network import NetworkConfig
from models.network.build import build_aggregator

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


WITH_SEGMENTS = ("trn", "trn_centred", "trn_x")


@pytest.mark.parametrize(("num_items", "size"), [(1, 1), (5, 1), (5, 3), (6, 6), (8, 4)])
def test_combinations_in_lexicographic_order(num_items: int, size: int) -> None:
    expected = list(itertools.combinations(range(num_items), size))
    assert [combination_at(num_items, size, rank) for rank in range(len(expected))] == expected


def test_table_lists_every_relation_where_they_are_few() -> None:
    members, counts = relation_table(num_segments=4, scale=2, max_relations=6)
    assert counts.tolist() == [0, 0, 1, 3, 6]
    assert members[3, :3].tolist() == [[0, 1], [0, 2], [1, 2]]


def test_table_spreads_its_relations_and_reads_only_steps_that_are_there() -> None:
    members, counts = relation_table(num_segments=16, scale=3, max_relations=5)
    assert members.shape == (17, 5, 3)
    for num_steps in range(3, 17):
        chosen = members[num_steps, : counts[num_steps]].tolist()
        assert len(chosen) == min(5, len(list(itertools.combinations(range(num_steps), 3))))
        assert len({tuple(relation) for relation in chosen}) == len(chosen)
        assert all(0 <= a < b < c < num_steps for a, b, c in chosen)
    assert members[16, :5].min() < 4
    assert members[16, :5].max() > 12


def test_segments_are_the_middles_of_even_parts_and_short_clips_stay() -> None:
    features = torch.arange(12.0).view(1, 12, 1).repeat(3, 1, 1)
    mask = torch.arange(12) < torch.tensor([[12], [3], [0]])
    picked, lengths = pick_segments(features, mask, 4)
    assert lengths.tolist() == [4, 3, 0]
    assert picked[..., 0].tolist() == [[1.0, 4.0, 7.0, 10.0], [0.0, 1.0, 2.0, 0.0], [0.0] * 4]


@pytest.mark.parametrize("num_steps", [5, 8, 12, 31])
def test_random_steps_stay_in_their_parts_and_reach_all_of_them(num_steps: int) -> None:
    num_segments = 5
    with torch.random.fork_rng():
        torch.manual_seed(0)
        picked = random_steps(torch.full((2000, 1), num_steps), num_segments)
    seen: list[int] = []
    for segment in range(num_segments):
        part = range(segment * num_steps // num_segments, (segment + 1) * num_steps // num_segments)
        assert set(picked[:, segment].tolist()) == set(part)
        seen += part
    # The parts are the clip.
    assert seen == list(range(num_steps))


def test_random_segments_of_long_clips_only() -> None:
    features = torch.arange(12.0).view(1, 12, 1).repeat(3, 1, 1)
    mask = torch.arange(12) < torch.tensor([[12], [4], [2]])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = [pick_segments(features, mask, 4, at_random=True) for _ in range(20)]
    for picked, lengths in draws:
        assert lengths.tolist() == [4, 4, 2]
        assert picked[1:, :, 0].tolist() == [[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 0.0, 0.0]]
        assert [int(step) // 3 for step in picked[0, :, 0]] == [0, 1, 2, 3]
    assert len({tuple(picked[0, :, 0].tolist()) for picked, _ in draws}) > 10


def long_clips() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(3, 30, 5, generator=torch.Generator().manual_seed(0)), torch.ones(3, 30, dtype=torch.bool)


@pytest.mark.parametrize("name", WITH_SEGMENTS)
def test_random_steps_change_training_only_and_follow_the_seed(name: str) -> None:
    features, mask = long_clips()
    config = NetworkConfig(random_steps=True, dropout=0.0)
    aggregator = build_aggregator(name, 5, config)
    fixed = build_aggregator(name, 5, NetworkConfig(dropout=0.0))
    fixed.load_state_dict(aggregator.state_dict())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first, second = aggregator(features, mask), aggregator(features, mask)
        torch.manual_seed(1)
        again = aggregator(features, mask)
    assert (first - second).abs().max() > 1e-3
    assert torch.equal(first, again)
    assert torch.equal(aggregator.eval()(features, mask), fixed.train()(features, mask))


@pytest.mark.parametrize("name", WITH_SEGMENTS)
def test_random_steps_leave_a_clip_alone_that_has_no_more_steps_than_segments(name: str) -> None:
    features, mask = long_clips()
    mask = torch.arange(30) < torch.tensor([[30], [8], [3]])
    aggregator = build_aggregator(name, 5, NetworkConfig(random_steps=True, dropout=0.0))
    training = aggregator(features, mask)
    evaluation = aggregator.eval()(features, mask)
    torch.testing.assert_close(training[1:], evaluation[1:])


@pytest.mark.parametrize("name", WITH_SEGMENTS)
def test_padding_does_not_change_which_steps_are_drawn(name: str) -> None:
    features, mask = long_clips()
    aggregator = build_aggregator(name, 5, NetworkConfig(random_steps=True, dropout=0.0))
    padded = torch.cat([features, torch.full((3, 50, 5), torch.nan)], dim=1)
    padded_mask = torch.cat([mask, mask.new_zeros(3, 50)], dim=1)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        plain = aggregator(features, mask)
        torch.manual_seed(2)
        other = aggregator(padded, padded_mask)
    torch.testing.assert_close(other, plain, rtol=0, atol=1e-5)
