from __future__ import annotations

import numpy as np
import torch

from models.aggregators.pooling import GatedAttention


def test_output_equals_the_paper() -> None:
    """Equation 9 of arXiv 1802.04712 by loops, for each clip alone."""
    module = GatedAttention(5, width=3)
    features = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 6, [True, False, True, True, False, False]])
    output = module(features, mask).detach().double().numpy()
    above, below = module.hidden.weight.detach().double().numpy().reshape(2, 3, 5)
    direction = module.score.weight.detach().double().numpy()[0]
    for row in range(2):
        steps = features[row, mask[row]].double().numpy()
        scores = [direction @ (np.tanh(above @ step) / (1 + np.exp(-(below @ step)))) for step in steps]
        shares = np.exp(scores) / np.exp(scores).sum()
        expected = sum(share * step for share, step in zip(shares, steps, strict=True))
        # float32 against float64
        np.testing.assert_allclose(output[row], expected, rtol=1e-4, atol=1e-6)


def test_equal_scores_give_the_mean() -> None:
    module = GatedAttention(4)
    torch.nn.init.zeros_(module.score.weight)
    features = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(module(features, mask), features[:, :2].mean(dim=1))


def test_a_large_score_gives_its_step_alone() -> None:
    module = GatedAttention(2, width=1)
    with torch.no_grad():
        # tanh and sigmoid of 20 are 1, and of -20 are -1 and 0.
        module.hidden.weight.copy_(torch.tensor([[20.0, 0.0], [20.0, 0.0]]))
        module.score.weight.fill_(100.0)
    features = torch.tensor([[[-1.0, 5.0], [1.0, 7.0], [-1.0, 9.0]]])
    torch.testing.assert_close(module(features, torch.ones(1, 3, dtype=torch.bool)), features[:, 1])
