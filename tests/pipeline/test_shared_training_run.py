"""One training by two processes, through the command that people type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.training.history import read_history
from tests.pipeline.learning import SETTINGS

if TYPE_CHECKING:
    from tests.end_to_end.run import Workplace


# One network: the place's folds are those of other tests.
ALONE = {**SETTINGS, "ensemble": {"folds": "0"}}


@pytest.mark.slow
def test_two_processes_train_the_network_of_one(place: Workplace) -> None:
    # No dropout in this preset: the processes would draw it otherwise.
    train = {**SETTINGS["train"], "seed": "7", "device": "cpu"}
    place.configure({**ALONE, "train": train})
    alone = place.luigi("Train")
    assert alone.returncode == 0, alone.stdout
    folder = (place.root / "train" / "latest").resolve()
    one = read_history(folder)
    place.configure({**ALONE, "train": {**train, "num_processes": "2"}})
    assert "did not run any tasks" in place.luigi("Train").stdout.lower()
    (folder / "model.safetensors").unlink()
    together = place.luigi("Train")
    assert together.returncode == 0, together.stdout
    assert (place.root / "train" / "latest").resolve() == folder
    two = read_history(folder)
    assert [record.train_loss for record in two] == pytest.approx([record.train_loss for record in one], rel=1e-4)
    assert not list(folder.glob("torchrun-*"))
    assert place.luigi("Predict").returncode == 0


@pytest.mark.slow
def test_processes_that_cannot_share_say_why(place: Workplace) -> None:
    place.configure({**ALONE, "train": {**SETTINGS["train"], "seed": "8", "batch_size": "3", "num_processes": "2"}})
    done = place.luigi("Train")
    assert done.returncode == 30, done.stdout
    assert "num_processes is 2, and they cannot share batches of 3: raise batch_size to at least 4" in done.stdout


@pytest.mark.slow
def test_training_that_cannot_start_leaves_the_old_checkpoint_as_it_is(place: Workplace) -> None:
    train = {**SETTINGS["train"], "seed": "9"}
    place.configure({**ALONE, "train": train})
    assert place.luigi("Train").returncode == 0
    folder = (place.root / "train" / "latest").resolve()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    place.configure({**ALONE, "train": {**train, "num_processes": "40", "device": "cpu"}})
    done = place.luigi("Train", "--force", "Train")
    assert done.returncode == 30, done.stdout
    assert "num_processes is 40" in done.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
