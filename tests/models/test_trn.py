import itertools

import numpy as np
import pytest
import torch
from torch import nn

from models.aggregators.trn import TemporalRelations, combination_at, pick_segments, relation_table


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


def test_output_equals_a_transcription() -> None:
    module = TemporalRelations(5, num_segments=4, max_scale=3, max_relations=100, width=6).eval()
    features = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    reduced = module.reduce(features)[0]

    def scale(size: int, relations: nn.Module, steps: torch.Tensor) -> torch.Tensor:
        """h(mean of g(steps)) over every ordered choice: equations 1 and 2 of the paper."""
        related = [
            relations.get_submodule("relate")(torch.cat([steps[i] for i in members]))
            for members in itertools.combinations(range(3), size)
        ]
        combined: torch.Tensor = relations.get_submodule("combine")(torch.stack(related).mean(dim=0))
        return combined

    differences = (reduced - reduced.mean(dim=0)).relu()
    content = scale(1, module.content, reduced.relu())
    change = scale(2, module.relations[0], differences) + scale(3, module.relations[1], differences)
    expected = torch.cat([nn.functional.layer_norm(half, (6,)) for half in (content, change)])
    output = module(features, torch.ones(1, 3, dtype=torch.bool))
    np.testing.assert_allclose(output[0].detach(), expected.detach(), rtol=1e-4, atol=1e-5)


def test_change_does_not_see_what_all_steps_share() -> None:
    module = TemporalRelations(5, width=6).eval()
    features = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 7, dtype=torch.bool)
    content, change = module(features, mask).split(6, dim=1)
    shifted_content, shifted_change = module(features + 10, mask).split(6, dim=1)
    torch.testing.assert_close(shifted_change, change, rtol=0, atol=1e-4)
    assert (shifted_content - content).abs().max() > 0.1
