from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import expit, softmax
from torch import Tensor, nn

from models.heads.hierarchical import Hierarchical, blend_logits, blend_sigmoid, blend_softmax
from models.heads.logits import Logits
from models.tag_heads.mixture import MixtureTags

Float64 = npt.NDArray[np.float64]

EXTREMES = torch.tensor(list(itertools.product((-40.0, -1.0, 0.0, 40.0), repeat=2)))


def build(num_categories: int = 3, num_tags: int = 4) -> Hierarchical:
    heads = Hierarchical(5, num_categories, num_tags, width=6)
    generator = torch.Generator().manual_seed(1)
    for parameter in heads.parameters():
        nn.init.normal_(parameter, generator=generator)
    return heads.double()


def embeddings() -> Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Transcription:
    """The equations of the paper in numpy, over one embedding."""

    def __init__(self, heads: Hierarchical) -> None:
        self.weights: dict[str, Float64] = {name: value.numpy() for name, value in heads.state_dict().items()}

    def dense(self, name: str, x: Float64) -> Float64:
        return np.asarray(self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"])

    def relu_dense(self, name: str, x: Float64) -> Float64:
        return np.maximum(self.dense(name, x), 0)

    def local(self, level: str, readout: str, activation: Float64) -> Float64:
        return self.dense(f"{level}.{readout}", self.relu_dense(f"{level}.0", activation))


def test_hierarchical_equals_a_transcription() -> None:
    heads = build()
    paper = Transcription(heads)
    outputs = heads(embeddings())
    local, overall = outputs.branches
    for clip, x in enumerate(embeddings().numpy()):
        upper = paper.relu_dense("first", x)
        lower = paper.relu_dense("second", np.concatenate([upper, x]))
        categories = (paper.local("category", "2", upper), paper.dense("overall.category", lower))
        tags = (paper.local("tags", "2.linear", lower), paper.dense("overall.tags.linear", lower))
        for branch, category, tag in zip((local, overall), categories, tags, strict=True):
            np.testing.assert_allclose(branch.category_logits[clip].detach().numpy(), category, rtol=1e-10)
            np.testing.assert_allclose(branch.tag_logits[clip].detach().numpy(), tag, rtol=1e-10)
        found = outputs.logits
        np.testing.assert_allclose(
            softmax(found.category_logits[clip].detach().numpy()),
            0.5 * softmax(categories[0]) + 0.5 * softmax(categories[1]),
            rtol=1e-10,
        )
        np.testing.assert_allclose(
            expit(found.tag_logits[clip].detach().numpy()), 0.5 * expit(tags[0]) + 0.5 * expit(tags[1]), rtol=1e-10
        )


@pytest.mark.parametrize(("num_categories", "num_tags"), [(3, 0), (0, 4)])
def test_one_kind_of_label_is_one_level(num_categories: int, num_tags: int) -> None:
    heads = build(num_categories, num_tags)
    paper = Transcription(heads)
    level, readout, overall_name = (
        ("category", "2", "overall.category") if num_categories else ("tags", "2.linear", "overall.tags.linear")
    )
    local, overall = heads(embeddings()).branches
    assert heads.second is None
    for clip, x in enumerate(embeddings().numpy()):
        upper = paper.relu_dense("first", x)
        expected = (paper.local(level, readout, upper), paper.dense(overall_name, upper))
        for branch, logits in zip((local, overall), expected, strict=True):
            found = branch.category_logits if num_categories else branch.tag_logits
            np.testing.assert_allclose(found[clip].detach().numpy(), logits, rtol=1e-10)


def test_local_category_does_not_hang_on_the_level_below() -> None:
    heads = build()
    before = heads(embeddings()).branches
    with torch.no_grad():
        heads.get_parameter("second.bias").add_(1.0)
    after = heads(embeddings()).branches
    assert torch.equal(after[0].category_logits, before[0].category_logits)
    assert not torch.equal(after[0].tag_logits, before[0].tag_logits)
    assert not torch.equal(after[1].category_logits, before[1].category_logits)


def test_both_branches_have_the_tag_head_given() -> None:
    heads = Hierarchical(5, 3, 4, width=6, make_tag_head=MixtureTags)
    assert sum(isinstance(module, MixtureTags) for module in heads.modules()) == 2


def test_blend_by_hand() -> None:
    # (0.8 + 0.2) / 2 = 1/2, and (0.9 + 0.1) / 2, (0.1 + 0.9) / 2.
    assert blend_sigmoid(torch.tensor(0.8).logit(), torch.tensor(0.2).logit()).item() == pytest.approx(0, abs=1e-6)
    blended = blend_softmax(torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.1, 0.9]]).log())
    torch.testing.assert_close(blended, torch.full((1, 2), math.log(0.5)))


def test_blend_of_equals_changes_nothing() -> None:
    logits = torch.tensor([[-40.0, -3.0, 0.0, 2.0, 40.0]])
    torch.testing.assert_close(blend_sigmoid(logits, logits), logits)
    torch.testing.assert_close(blend_softmax(logits, logits), torch.log_softmax(logits, dim=1))


def test_blend_leaves_out_what_there_is_not() -> None:
    logits = torch.zeros(2, 3)
    assert blend_logits(Logits(None, logits), Logits(None, logits)).category_logits is None
    assert blend_logits(Logits(logits, None), Logits(logits, None)).tag_logits is None


def test_extreme_sigmoids_blend_exactly_and_have_gradients() -> None:
    first, second = (EXTREMES[:, i : i + 1].clone().requires_grad_() for i in range(2))
    blended = blend_sigmoid(first, second)
    a, b = (logits.detach().double().numpy() for logits in (first, second))
    expected = np.log(expit(a) + expit(b)) - np.log(expit(-a) + expit(-b))
    np.testing.assert_allclose(blended.detach().numpy(), expected, rtol=1e-6, atol=1e-6)
    torch.autograd.backward(blended.sum())
    for logits in (first, second):
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_extreme_softmaxes_blend_exactly_and_have_gradients() -> None:
    first, second = EXTREMES.clone().requires_grad_(), EXTREMES.flip(0).clone().requires_grad_()
    blended = blend_softmax(first, second)
    a, b = (logits.detach().double().numpy() for logits in (first, second))
    expected = np.log(0.5 * softmax(a, axis=1) + 0.5 * softmax(b, axis=1))
    np.testing.assert_allclose(blended.detach().numpy(), expected, rtol=1e-6, atol=1e-6)
    weights = torch.tensor([1.0, -2.0])
    torch.autograd.backward((blended * weights).sum())
    for logits in (first, second):
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
