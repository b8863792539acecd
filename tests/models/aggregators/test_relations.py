from __future__ import annotations

import itertools

import pytest
import torch

from models.aggregators.trn import combination_at, pick_segments, random_steps, relation_table
from models.config.network import NetworkConfig
from models.network.build import build_aggregator

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
