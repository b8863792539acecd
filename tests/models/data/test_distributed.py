from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from models.data.distributed import all_reduce_scalar, all_reduce_sum, broadcast, is_shared, own_slice
from models.prediction.checkpoints import load
from models.training.history import read_history
from tests.models.training import two_processes as shared_training

if TYPE_CHECKING:
    from pathlib import Path


def test_process_alone_sums_nothing() -> None:
    assert not is_shared()
    assert (own_slice().rank, own_slice().num_processes) == (0, 1)
    assert all_reduce_scalar(3.5) == 3.5
    assert broadcast("mine") == "mine"
    values = torch.ones(2)
    assert all_reduce_sum(values) is values


@pytest.mark.parametrize("kind", shared_training.KINDS)
def test_two_processes_learn_as_one_with_the_doubled_batch(tmp_path: Path, kind: str) -> None:
    shared_training.run(tmp_path / "one", kind)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = subprocess.run(
        [*command, "-m", "tests.models.training.two_processes", str(tmp_path / "two"), kind],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    one, two = read_history(tmp_path / "one"), read_history(tmp_path / "two")
    assert len(one) == len(two) == 4
    for alone, shared in zip(one, two, strict=True):
        # Sums in another order, through four epochs of Adam; bfloat16 has 8 bits.
        tolerance = 2e-2 if kind == "bfloat16" else 1e-4
        assert shared.train_loss == pytest.approx(alone.train_loss, rel=tolerance)
        assert shared.validation_loss == pytest.approx(alone.validation_loss, rel=10 * tolerance)
    if kind == "bfloat16":
        return
    ours, theirs = (load(tmp_path / name).network.state_dict() for name in ("one", "two"))
    for name, tensor in ours.items():
        # Adam makes steps of up to 3e-3 of gradients that are hardly more than rounding.
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-2, atol=5e-3, msg=name)
