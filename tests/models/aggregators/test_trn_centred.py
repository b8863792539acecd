from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn

from models.aggregators.trn_centred import CentredTemporalRelations


def test_output_equals_a_transcription() -> None:
    module = CentredTemporalRelations(5, num_segments=4, max_scale=3, max_relations=100, width=6).eval()
    features = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    reduced = module.reduce(features)[0]

    def scale(size: int, relations: nn.Module, steps: torch.Tensor) -> torch.Tensor:
        """h(mean of g(steps)) over every ordered choice: equation 1 of the paper, with a mean for its sum."""
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
    module = CentredTemporalRelations(5, width=6).eval()
    features = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 7, dtype=torch.bool)
    content, change = module(features, mask).split(6, dim=1)
    shifted_content, shifted_change = module(features + 10, mask).split(6, dim=1)
    torch.testing.assert_close(shifted_change, change, rtol=0, atol=1e-4)
    assert (shifted_content - content).abs().max() > 0.1
