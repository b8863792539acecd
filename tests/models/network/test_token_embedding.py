from __future__ import annotations

import numpy as np
import torch

from models.network.token_embedding import TextTable, mean_token_embeddings
from tests.models.synthetic import ListSource, random_source


def test_start_is_the_standardised_mean_of_each_token() -> None:
    source = random_source(40, {"text": 5}, missing=0.3)
    chosen = np.arange(3, 30)
    known, rows = mean_token_embeddings(source, chosen)
    everything = np.concatenate([source[int(i)]["text"] for i in chosen]).astype(np.float64)
    tokens = np.concatenate([source.token_ids(int(i)) for i in chosen])
    standardised = (everything - everything.mean(axis=0)) / everything.std(axis=0)
    assert known.tolist() == sorted(set(tokens.tolist()))
    assert not rows[0].any()
    for place, token in enumerate(known):
        # float32 against float64
        np.testing.assert_allclose(rows[place + 1], standardised[tokens == token].mean(axis=0), atol=1e-5)


def test_start_without_any_token_is_empty() -> None:
    source = ListSource([{"text": np.zeros((0, 3), np.float16)}], {"text": 3})
    known, rows = mean_token_embeddings(source, np.array([0]))
    assert (known.shape, rows.shape) == ((0,), (1, 3))
    assert np.isfinite(rows).all()


def test_known_tokens_have_rows_and_all_others_share_one() -> None:
    table = TextTable(3, 2)
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    table.start_from(np.array([5, 7, 30522]), rows)
    found = table(torch.tensor([[7, 5, 6], [30522, 99999, 0]]))
    assert found[..., 0].tolist() == [[4, 2, 0], [6, 0, 0]]


def test_gradient_reaches_the_rows_of_the_tokens_alone() -> None:
    table = TextTable(3, 2)
    table.start_from(np.array([5, 7, 9]), np.zeros((4, 2), np.float32))
    table(torch.tensor([[7, 8]])).sum().backward()
    gradient = table.embedding.weight.grad
    assert gradient is not None
    assert gradient[:, 0].tolist() == [1, 0, 1, 0]
