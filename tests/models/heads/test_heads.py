from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from models.heads.base import Independent
from models.heads.logits import category_probabilities, tag_probabilities
from models.tag_heads.mixture import MixtureTags


def test_independent_by_hand() -> None:
    heads = Independent(2, 2, 1)
    with torch.no_grad():
        heads.get_parameter("category.weight").copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        heads.get_parameter("category.bias").copy_(torch.tensor([0.5, 0.0]))
        heads.get_parameter("tags.linear.weight").copy_(torch.tensor([[1.0, -1.0]]))
        heads.get_parameter("tags.linear.bias").fill_(0.25)
    outputs = heads(torch.tensor([[3.0, 1.0]]))
    assert outputs.logits.category_logits.tolist() == [[3.5, 2.0]]
    assert outputs.logits.tag_logits.tolist() == [[2.25]]
    assert outputs.branches == ()


def test_independent_reads_the_embedding_with_the_tag_head_it_is_given() -> None:
    heads = Independent(3, 2, 4, make_tag_head=MixtureTags)
    embedding = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert isinstance(heads.tags, MixtureTags)
    assert torch.equal(heads(embedding).logits.tag_logits, heads.tags(embedding))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_are_those_of_scipy(dtype: torch.dtype) -> None:
    logits = torch.tensor([[0.0, 2.0, -3.0], [30.0, 1.0, 1.0]], dtype=dtype)
    array = logits.double().numpy()
    np.testing.assert_allclose(category_probabilities(logits).numpy(), softmax(array, axis=1), rtol=1e-6)
    np.testing.assert_allclose(tag_probabilities(logits).numpy(), expit(array), rtol=1e-6)
