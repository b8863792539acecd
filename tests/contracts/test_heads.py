"""What all heads and tag heads promise, checked over both tables."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from models.config.network import NetworkConfig
from models.heads import HEADS
from models.heads.logits import HeadOutputs, Logits, category_probabilities, tag_probabilities
from models.network.build import build_heads
from models.tag_heads import TAG_HEADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.heads.base import Heads

INPUT_DIM = 6
NUM_CLIPS = 8
COUNTS = ((5, 7), (0, 7), (5, 0), (1, 1))
CASES = list(itertools.product(sorted(HEADS), sorted(TAG_HEADS), COUNTS))

parametrize_cases = pytest.mark.parametrize(("name", "tag_head", "counts"), CASES)


def build(name: str, tag_head: str, counts: tuple[int, int]) -> Heads:
    """Heads whose every parameter is random, and large enough to matter."""
    heads = build_heads(name, INPUT_DIM, *counts, NetworkConfig(tag_head=tag_head, head_width=9, moe_experts=3))
    generator = torch.Generator().manual_seed(3)
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return heads


def embeddings(num_clips: int = NUM_CLIPS, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(num_clips, INPUT_DIM, generator=torch.Generator().manual_seed(0))


def all_logits(outputs: HeadOutputs) -> Iterator[Tensor]:
    for answers in (outputs.logits, *outputs.branches):
        yield from (logits for logits in (answers.category_logits, answers.tag_logits) if logits is not None)


def weighted_sum(outputs: HeadOutputs) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    parts = [(logits * torch.randn(logits.shape, generator=generator)).sum() for logits in all_logits(outputs)]
    return torch.stack(parts).sum()


def check_shapes(answers: Logits, num_clips: int, counts: tuple[int, int]) -> None:
    for logits, count in zip((answers.category_logits, answers.tag_logits), counts, strict=True):
        assert (logits is None) == (count == 0)
        assert logits is None or logits.shape == (num_clips, count)


@parametrize_cases
@pytest.mark.parametrize("num_clips", [NUM_CLIPS, 1, 0])
def test_shapes_and_left_out_heads(name: str, tag_head: str, counts: tuple[int, int], num_clips: int) -> None:
    for heads in (build(name, tag_head, counts), build_heads(name, INPUT_DIM, *counts, NetworkConfig())):
        outputs = heads(embeddings(num_clips))
        for answers in (outputs.logits, *outputs.branches):
            check_shapes(answers, num_clips, counts)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_neither_categories_nor_tags(name: str) -> None:
    outputs = build_heads(name, INPUT_DIM, 0, 0, NetworkConfig())(embeddings())
    assert outputs.logits == Logits(None, None)


@parametrize_cases
def test_probabilities(name: str, tag_head: str, counts: tuple[int, int]) -> None:
    answers = build(name, tag_head, counts)(embeddings()).logits
    if answers.category_logits is not None:
        categories = category_probabilities(answers.category_logits)
        torch.testing.assert_close(categories.sum(dim=1), torch.ones(NUM_CLIPS))
        assert (categories > 0).all()
    if answers.tag_logits is not None:
        tags = tag_probabilities(answers.tag_logits)
        assert ((tags > 0) & (tags < 1)).all()


@parametrize_cases
def test_clips_do_not_see_each_other(name: str, tag_head: str, counts: tuple[int, int]) -> None:
    heads = build(name, tag_head, counts)
    together = list(all_logits(heads(embeddings())))
    rows = [list(all_logits(heads(row))) for row in embeddings().unsqueeze(1)]
    for logits, alone in zip(together, zip(*rows, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(alone), logits)


@parametrize_cases
def test_gradients_reach_every_parameter(name: str, tag_head: str, counts: tuple[int, int]) -> None:
    heads = build(name, tag_head, counts)
    embedding = embeddings().requires_grad_()
    torch.autograd.backward(weighted_sum(heads(embedding)))
    for parameter_name, parameter in [*heads.named_parameters(), ("embedding", embedding)]:
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@parametrize_cases
def test_extreme_embeddings_give_finite_logits_and_gradients(name: str, tag_head: str, counts: tuple[int, int]) -> None:
    heads = build(name, tag_head, counts)
    # Logits in the hundreds: beyond 104 the probability is 0 or 1 in float32.
    embedding = embeddings(scale=300.0).requires_grad_()
    outputs = heads(embedding)
    assert max(logits.abs().max().item() for logits in all_logits(outputs)) > 104
    torch.autograd.backward(weighted_sum(outputs))
    assert all(torch.isfinite(logits).all() for logits in all_logits(outputs))
    for parameter in (*heads.parameters(), embedding):
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


@parametrize_cases
def test_arguments_stay_as_they_are(name: str, tag_head: str, counts: tuple[int, int]) -> None:
    embedding = embeddings()
    build(name, tag_head, counts)(embedding)
    assert torch.equal(embedding, embeddings())


@pytest.mark.parametrize("name", sorted(HEADS))
def test_tag_head_and_widths_are_those_of_the_settings(name: str) -> None:
    def num_parameters(config: NetworkConfig) -> int:
        heads = build_heads(name, INPUT_DIM, *COUNTS[0], config)
        return sum(parameter.numel() for parameter in heads.parameters())

    plain = num_parameters(NetworkConfig(head_width=9))
    assert num_parameters(NetworkConfig(head_width=9, tag_head="moe", moe_experts=2)) > plain
    assert (num_parameters(NetworkConfig(head_width=10)) > plain) == (name != "independent")
