"""What every fusion promises, checked over the whole table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from models.config.network import MISSING, NetworkConfig
from models.fusion import FUSIONS
from models.network.build import build_fusion
from models.network.encoders import ModalityEncoder

if TYPE_CHECKING:
    from models.fusion.base import Fusion

INPUT_DIMS = (3, 5, 4)
NUM_CLIPS = 6
NAMES = sorted(FUSIONS)


def build(name: str, missing: str = "masked", input_dims: tuple[int, ...] = INPUT_DIMS) -> Fusion:
    """A fusion whose every parameter is random: a bias of zero would hide what leaks through it."""
    config = NetworkConfig(missing=missing, fusion_width=7, fusion_rank=2, se_reduction=2)
    fusion = build_fusion(input_dims, replace(config, fusion=name))
    generator = torch.Generator().manual_seed(3)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return fusion


def clips(num_clips: int = NUM_CLIPS) -> tuple[list[Tensor], Tensor]:
    """Vectors, zeros where a modality is missing, and which are there; the last clip has none."""
    generator = torch.Generator().manual_seed(0)
    present = torch.ones(num_clips, len(INPUT_DIMS), dtype=torch.bool)
    present[1:2, 0] = False
    present[2:3, 1:] = False
    present[5:] = False
    vectors = [
        torch.randn(num_clips, width, generator=generator) * present[:, column, None]
        for column, width in enumerate(INPUT_DIMS)
    ]
    return vectors, present


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_clips", [NUM_CLIPS, 1, 0])
def test_shape_is_as_announced(name: str, num_clips: int) -> None:
    vectors, present = clips(num_clips)
    for fusion in (build(name), build(name, "learned"), FUSIONS[name](INPUT_DIMS)):
        output = fusion(vectors, present)
        assert output.shape == (num_clips, fusion.output_dim)
        assert torch.isfinite(output).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_modality_is_enough(name: str) -> None:
    fusion = build(name, input_dims=(4,))
    assert fusion([torch.ones(2, 4)], torch.ones(2, 1, dtype=torch.bool)).shape == (2, fusion.output_dim)


@pytest.mark.parametrize("name", NAMES)
def test_clips_do_not_see_each_other(name: str) -> None:
    vectors, present = clips()
    fusion = build(name)
    rows = [fusion([vector[i : i + 1] for vector in vectors], present[i : i + 1]) for i in range(NUM_CLIPS)]
    torch.testing.assert_close(torch.cat(rows), fusion(vectors, present))


@pytest.mark.parametrize("name", NAMES)
def test_every_modality_that_is_there_matters(name: str) -> None:
    vectors, present = clips()
    fusion = build(name)
    output = fusion(vectors, present)
    for column in range(len(INPUT_DIMS)):
        moved = [vector + (i == column) * present[:, i, None] for i, vector in enumerate(vectors)]
        changed = (fusion(moved, present) - output).abs().amax(dim=1) > 1e-3
        assert torch.equal(changed, present[:, column])


@pytest.mark.parametrize("name", NAMES)
def test_learned_vectors_count_like_any_other(name: str) -> None:
    vectors, present = clips()
    vectors = [vector + 1 for vector in vectors]
    fusion = build(name, "learned")
    assert torch.equal(fusion(vectors, present), fusion(vectors, torch.ones_like(present)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", MISSING)
def test_source_of_a_missing_modality_has_no_influence(name: str, missing: str) -> None:
    config = NetworkConfig(missing=missing, frames_aggregator="mean")
    encoders = [ModalityEncoder("frames", width, config) for width in INPUT_DIMS]
    fusion = build_fusion(INPUT_DIMS, replace(config, fusion=name))
    _, present = clips()
    mask = torch.ones(NUM_CLIPS, 2, dtype=torch.bool)

    def fuse(noise: float) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        vectors = []
        for column, encoder in enumerate(encoders):
            steps = torch.randn(NUM_CLIPS, 2, INPUT_DIMS[column], generator=generator)
            gone = ~present[:, column, None, None]
            other = noise * torch.randn(steps.shape, generator=torch.Generator().manual_seed(2))
            vectors.append(encoder(torch.where(gone, other, steps), mask, present[:, column]))
        fused: Tensor = fusion(vectors, present)
        return fused

    assert torch.equal(fuse(1.0), fuse(100.0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", MISSING)
def test_gradients_are_finite_and_reach_every_parameter(name: str, missing: str) -> None:
    vectors, present = clips()
    fusion = build(name, missing)
    output = fusion([vector.requires_grad_() for vector in vectors], present)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    torch.autograd.backward((output * weights).sum())
    named = [*fusion.named_parameters(), *((f"vector {i}", vector) for i, vector in enumerate(vectors))]
    for parameter_name, parameter in named:
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_arguments_stay_as_they_are(name: str) -> None:
    vectors, present = clips()
    before, present_before = [vector.clone() for vector in vectors], present.clone()
    build(name)(vectors, present)
    assert all(torch.equal(vector, expected) for vector, expected in zip(vectors, before, strict=True))
    assert torch.equal(present, present_before)
