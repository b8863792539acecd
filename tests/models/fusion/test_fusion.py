from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from models.config.network import NetworkConfig
from models.fusion import FUSIONS
from models.fusion.gate_fusion import GateFusion
from models.fusion.low_rank import LowRank
from models.fusion.se_gate import SeGate
from models.network.build import build_fusion
from models.network.network import drop_modalities

if TYPE_CHECKING:
    from collections.abc import Sequence

Float64 = npt.NDArray[np.float64]

DIMS = (2, 3, 4)


def randomised(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, generator=generator)
    return module.double()


def random_vectors(dims: Sequence[int] = DIMS, num_clips: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(num_clips, width, generator=generator, dtype=torch.float64) for width in dims]


def everything(vectors: Sequence[Tensor]) -> Tensor:
    return torch.ones(len(vectors[0]), len(vectors), dtype=torch.bool)


def weights_of(module: nn.Module) -> dict[str, Float64]:
    return {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}


def test_concat_keeps_the_order() -> None:
    vectors = [torch.tensor([[1.0]]), torch.tensor([[2.0, 3.0]])]
    assert FUSIONS["concat"]([1, 2])(vectors, everything(vectors)).tolist() == [[1.0, 2.0, 3.0]]


def test_se_gate_by_hand() -> None:
    gate = SeGate([1, 1], reduction=2)
    with torch.no_grad():
        gate.squeeze.weight.copy_(torch.tensor([[1.0, -1.0]]))
        gate.squeeze.bias.fill_(0.5)
        gate.excite.weight.copy_(torch.tensor([[1.0], [-2.0]]))
        gate.excite.bias.zero_()
    vectors = [torch.tensor([[3.0]]), torch.tensor([[1.0]])]
    # relu(3 - 1 + 0.5) = 2.5; gates sigmoid(2.5) and sigmoid(-5)
    fused = gate(vectors, everything(vectors))
    torch.testing.assert_close(fused, torch.tensor([[3 * 0.9241418, 0.0066929]]))


def test_se_gate_leaves_zeros_alone() -> None:
    vectors = [torch.zeros(5, 2, dtype=torch.float64), *random_vectors()[1:]]
    fused = randomised(SeGate(DIMS))(vectors, everything(vectors))
    assert not fused[:, :2].any()
    assert fused[:, 2:].all()


@pytest.mark.parametrize("leave_out_missing", [False, True])
def test_gate_fusion_equals_a_transcription(leave_out_missing: bool) -> None:
    vectors = random_vectors()
    present = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]]).bool()
    module = randomised(GateFusion(DIMS, width=6, missing="masked" if leave_out_missing else "learned"))
    weights = weights_of(module)
    rows = []
    for clip in range(5):
        x = np.concatenate([vector[clip].numpy() for vector in vectors])
        gate = 1 / (1 + np.exp(-(weights["gate.weight"] @ x + weights["gate.bias"])))
        total = np.zeros(6)
        for m, vector in enumerate(vectors):
            if bool(present[clip, m]) or not leave_out_missing:
                dense = weights[f"dense.{m}.weight"] @ vector[clip].numpy() + weights[f"dense.{m}.bias"]
                total += gate * np.tanh(dense)
        rows.append(np.concatenate([total, x]))
    np.testing.assert_allclose(module(vectors, present).detach().numpy(), np.stack(rows), rtol=1e-12)


def test_gate_fusion_by_hand() -> None:
    module = GateFusion([1, 1], width=1)
    with torch.no_grad():
        for layer, weight in zip(module.dense, (0.5, -1.0), strict=True):
            assert isinstance(layer, nn.Linear)
            layer.weight.fill_(weight)
            layer.bias.zero_()
        module.gate.weight.copy_(torch.tensor([[1.0, 1.0]]))
        module.gate.bias.fill_(-3.0)
    vectors = [torch.tensor([[2.0]]), torch.tensor([[1.0]])]
    # The gate is sigmoid(2 + 1 - 3) = 0.5 for both; tanh(1) + tanh(-1) = 0.
    torch.testing.assert_close(module(vectors, everything(vectors)), torch.tensor([[0.0, 2.0, 1.0]]))
    # Without the second: 0.5 tanh(1), where the gate is sigmoid(3 + 0 - 3).
    module.leave_out_missing = True
    alone = module([torch.tensor([[3.0]]), torch.tensor([[0.0]])], torch.tensor([[True, False]]))
    torch.testing.assert_close(alone, torch.tensor([[0.5 * 0.9051483, 3.0, 0.0]]))


def test_gate_fusion_does_not_let_the_bias_of_a_missing_modality_leak() -> None:
    vectors = random_vectors()
    vectors[1] = torch.zeros_like(vectors[1])
    present = everything(vectors)
    present[:, 1] = False
    module = randomised(GateFusion(DIMS, width=6, missing="masked"))
    before = module(vectors, present)
    with torch.no_grad():
        module.get_parameter("dense.1.bias").add_(5.0)
    assert torch.equal(module(vectors, present), before)
    assert not torch.equal(module(vectors, torch.ones_like(present)), before)


@pytest.mark.parametrize("rank", [1, 3])
def test_low_rank_equals_the_full_outer_product(rank: int) -> None:
    vectors = random_vectors()
    module = randomised(LowRank(DIMS, width=6, rank=rank))
    weights = weights_of(module)
    first, second, third = (weights[f"factors.{m}"] for m in range(3))
    tensor = np.einsum("raw,rbw,rcw->abcw", first, second, third)
    assert tensor.shape == (3, 4, 5, 6)
    for clip, fused in enumerate(module(vectors, everything(vectors)).detach().numpy()):
        z = [np.append(vector[clip].numpy(), 1.0) for vector in vectors]
        outer = np.multiply.outer(np.multiply.outer(z[0], z[1]), z[2])
        np.testing.assert_allclose(fused, np.tensordot(outer, tensor, axes=3) + weights["bias"], rtol=1e-10)


def test_low_rank_multiplies_as_if_a_missing_modality_did_not_exist() -> None:
    vectors = random_vectors()
    present = everything(vectors)
    present[:, 1] = False
    module = randomised(LowRank(DIMS, width=6, rank=3, missing="masked"))
    pair = LowRank((DIMS[0], DIMS[2]), width=6, rank=3).double()
    with torch.no_grad():
        for ours, theirs in (("factors.0", "factors.0"), ("factors.1", "factors.2"), ("bias", "bias")):
            pair.get_parameter(ours).copy_(module.get_parameter(theirs))
    expected = pair([vectors[0], vectors[2]], present[:, [0, 2]])
    torch.testing.assert_close(module(vectors, present), expected)


def test_low_rank_starts_around_zero_with_a_variance_near_one() -> None:
    dims = (40, 60, 50, 30, 40)
    vectors = [vector.float() for vector in random_vectors(dims, num_clips=1000)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = LowRank(dims, width=64, rank=4)
    fused = module(vectors, everything(vectors))
    # 4 ((1 + 1 / 20)^5 - 1) = 1.105; with other seeds the variance is from 1.10 to 1.12.
    assert fused.mean().item() == pytest.approx(0.0, abs=0.02)
    assert fused.var().item() == pytest.approx(1.105, abs=0.05)


@pytest.mark.parametrize("name", ["gate_fusion", "low_rank"])
def test_settings_say_whether_a_missing_modality_is_left_out(name: str) -> None:
    vectors = [vector * (column > 0) for column, vector in enumerate(random_vectors())]
    present = everything(vectors)
    present[:3, 0] = False
    masked, learned = (
        randomised(build_fusion(DIMS, NetworkConfig(fusion=name, missing=missing, fusion_width=6)))(vectors, present)
        for missing in ("masked", "learned")
    )
    assert not torch.isclose(masked[:3, :6], learned[:3, :6]).any()
    assert torch.equal(masked[3:], learned[3:])


def test_sizes_are_those_of_the_settings() -> None:
    config = NetworkConfig(fusion_width=6, fusion_rank=5, se_reduction=3)
    gate_fusion, low_rank, se_gate = (
        build_fusion(DIMS, replace(config, fusion=name)) for name in ("gate_fusion", "low_rank", "se_gate")
    )
    assert gate_fusion.output_dim == 6 + 9
    assert isinstance(low_rank, LowRank)
    assert [tuple(factor.shape) for factor in low_rank.factors] == [(5, 3, 6), (5, 4, 6), (5, 5, 6)]
    assert isinstance(se_gate, SeGate)
    assert se_gate.squeeze.weight.shape == (3, 9)
    # Never narrower than one unit.
    assert SeGate(DIMS, reduction=100).squeeze.weight.shape == (1, 9)


def test_modalities_are_dropped_with_the_probability_but_never_all() -> None:
    present = torch.tensor([True, True, True, False]).expand(20_000, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kept = drop_modalities(present, 0.3)
        alone = drop_modalities(torch.tensor([[True, False]] * 100), 0.9)
    assert not kept[:, 3].any()
    assert kept.any(dim=1).all()
    # 0.3 of them, less the 0.3^3 of rows that would lose all three and keep them: 0.273; 4 sigma = 0.008
    assert (~kept[:, :3]).float().mean().item() == pytest.approx(0.273, abs=0.008)
    assert alone.tolist() == [[True, False]] * 100
    assert torch.equal(drop_modalities(present, 0.0), present)
