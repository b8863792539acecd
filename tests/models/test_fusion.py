import pytest
import torch

from models.config import FUSIONS as NAMES
from models.fusion import FUSIONS, SeGate, drop_modalities


def test_table_holds_the_names_of_the_settings() -> None:
    assert tuple(sorted(FUSIONS)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shape_is_as_announced(name: str) -> None:
    fusion = FUSIONS[name]([3, 5], reduction=4)
    assert fusion.output_dim == 8
    assert fusion([torch.ones(2, 3), torch.ones(2, 5)]).shape == (2, 8)


def test_concat_keeps_the_order() -> None:
    fused = FUSIONS["concat"]([1, 2])([torch.tensor([[1.0]]), torch.tensor([[2.0, 3.0]])])
    assert fused.tolist() == [[1.0, 2.0, 3.0]]


def test_se_gate_by_hand() -> None:
    gate = SeGate([1, 1], reduction=2)
    with torch.no_grad():
        gate.squeeze.weight.copy_(torch.tensor([[1.0, -1.0]]))
        gate.squeeze.bias.fill_(0.5)
        gate.excite.weight.copy_(torch.tensor([[1.0], [-2.0]]))
        gate.excite.bias.zero_()
    # relu(3 - 1 + 0.5) = 2.5; gates sigmoid(2.5) and sigmoid(-5)
    fused = gate([torch.tensor([[3.0]]), torch.tensor([[1.0]])])
    torch.testing.assert_close(fused, torch.tensor([[3 * 0.9241418, 0.0066929]]))


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
