from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from models.heads.cascade import Cascade
from models.tag_heads.mixture import MixtureTags


def build(num_categories: int = 3, num_tags: int = 4) -> Cascade:
    heads = Cascade(5, num_categories, num_tags, width=6)
    generator = torch.Generator().manual_seed(1)
    for parameter in heads.parameters():
        nn.init.normal_(parameter, generator=generator)
    return heads.double()


def embeddings() -> Tensor:
    return torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_cascade_equals_a_transcription() -> None:
    heads = build()
    weights = {name: parameter.detach().numpy() for name, parameter in heads.named_parameters()}
    answers = heads(embeddings()).logits
    for clip, x in enumerate(embeddings().numpy()):
        before = weights["category.hidden.weight"] @ x + weights["category.hidden.bias"]
        hidden = np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in before])
        category = weights["category.logits.weight"] @ hidden + weights["category.logits.bias"]
        probabilities = np.exp(category) / np.exp(category).sum()
        read = np.concatenate([x, hidden, probabilities])
        tags = weights["tags.linear.weight"] @ read + weights["tags.linear.bias"]
        np.testing.assert_allclose(answers.category_logits[clip].detach().numpy(), category, rtol=1e-10)
        np.testing.assert_allclose(answers.tag_logits[clip].detach().numpy(), tags, rtol=1e-10)


def test_tags_train_the_hidden_layer_but_not_the_logits_of_the_category() -> None:
    heads = build()
    torch.autograd.backward(heads(embeddings()).logits.tag_logits.square().sum())
    assert heads.get_parameter("category.logits.weight").grad is None
    assert heads.get_parameter("category.logits.bias").grad is None
    hidden = heads.get_parameter("category.hidden.weight").grad
    assert hidden is not None
    assert hidden.abs().max() > 0


def test_tags_read_the_probabilities_of_the_category() -> None:
    heads = build()
    bias = heads.get_parameter("category.logits.bias")
    found = []
    for certain in ([1000.0, 0.0, 0.0], [0.0, 1000.0, 0.0]):
        with torch.no_grad():
            bias.copy_(torch.tensor(certain))
        found.append(heads(embeddings()).logits.tag_logits)
    # The probabilities are read last: here (1, 0, 0), then (0, 1, 0).
    columns = heads.get_parameter("tags.linear.weight")[:, -3:]
    torch.testing.assert_close(found[1] - found[0], (columns[:, 1] - columns[:, 0]).expand(2, -1))


def test_tags_do_not_see_a_shift_of_all_logits() -> None:
    heads = build()
    before = heads(embeddings()).logits.tag_logits
    with torch.no_grad():
        heads.get_parameter("category.logits.bias").add_(7.0)
    torch.testing.assert_close(heads(embeddings()).logits.tag_logits, before)


def test_without_categories_the_tags_read_the_embedding_alone() -> None:
    heads = build(num_categories=0)
    assert heads.tags is not None
    assert heads.get_parameter("tags.linear.weight").shape == (4, 5)
    assert torch.equal(heads(embeddings()).logits.tag_logits, heads.tags(embeddings()))


def test_tags_do_not_touch_the_category() -> None:
    alone, both = build(num_tags=0), build()
    shared = {name: value for name, value in both.state_dict().items() if name.startswith("category.")}
    alone.load_state_dict(shared)
    assert torch.equal(alone(embeddings()).logits.category_logits, both(embeddings()).logits.category_logits)


def test_tag_head_is_the_one_given() -> None:
    assert isinstance(Cascade(5, 3, 4, width=6, make_tag_head=MixtureTags).tags, MixtureTags)
