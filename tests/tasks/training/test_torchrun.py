"""One training by several processes: who starts them, what is told meanwhile, and how a failure shows."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from features.base.errors import SettingError, StageFailedError
from models.config.artifacts import HISTORY_NAME
from models.config.network import NetworkConfig
from models.config.training import TrainConfig
from tasks.training import torchrun
from tasks.training.torchrun import check_machine, num_processes, train_together
from tasks.training.training_job import TrainingData, TrainingFacts, TrainingPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = TrainingData({"text": (Path("/t/0.h5"),)}, (Path("/m/0.jsonl"),), ("train",))
FACTS = TrainingFacts(10, 3, 2, 0.5, stopped_early=False)
# Plays torchrun: reads what it is given, writes epochs, and what the training found.
LAUNCHER = """
import json, os, pathlib, sys, time
data, plan = (json.loads(pathlib.Path(name).read_text()) for name in sys.argv[-2:])
folder = pathlib.Path(plan["folder"])
with (folder / "history.jsonl").open("a") as stream:
    for epoch in range(2):
        stream.write("epoch\\n")
        stream.flush()
        time.sleep(0.15)
if MODE == "fail":
    sys.exit(3)
if MODE == "ok":
    (folder / "torchrun-facts.json").write_text(json.dumps(FACTS))
(folder / "seen.json").write_text(json.dumps([sys.argv[1:], data["splits"], os.environ["PYTHONSAFEPATH"],
                                               os.environ["OMP_NUM_THREADS"]]))
"""


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    return TrainingPlan(NetworkConfig(), TrainConfig(num_threads=3), tmp_path)


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> str:
    """Replace torchrun; ``MODE`` says how it ends."""
    monkeypatch.setattr(torchrun, "_POLL_SECONDS", 0.02)
    monkeypatch.setenv("MODE", "ok")
    start = subprocess.Popen

    def popen(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - as Popen takes them
        code = f"MODE, FACTS = {os.environ['MODE']!r}, {vars(FACTS)!r}\n{LAUNCHER}"
        return start([command[0], "-c", code, *command[1:]], **options)

    monkeypatch.setattr("tasks.training.torchrun.subprocess.Popen", popen)
    return LAUNCHER


def test_the_processes_are_given_data_and_plan_as_files_that_are_gone_afterwards(
    plan: TrainingPlan, launch: str
) -> None:
    epochs: list[int] = []

    facts = train_together(DATA, plan, 2, lambda: epochs.append(1))

    assert facts == FACTS
    assert len(epochs) == 2
    arguments, splits, safe_path, threads = json.loads((plan.folder / "seen.json").read_text(encoding="utf-8"))
    assert arguments[:5] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert arguments[5:7] == ["-m", "tasks.training.torchrun"]
    assert splits == ["train"]
    # The folder of the run may hold packages of the same names; the cores are shared as configured.
    assert (safe_path, threads) == ("1", "3")
    assert sorted(path.name for path in plan.folder.iterdir()) == [HISTORY_NAME, "seen.json"]


def test_epochs_of_an_earlier_run_are_not_counted_again(plan: TrainingPlan, launch: str) -> None:
    (plan.folder / HISTORY_NAME).write_text("epoch\nepoch\nepoch\n", encoding="utf-8")
    epochs: list[int] = []
    train_together(DATA, plan, 2, lambda: epochs.append(1))
    assert len(epochs) == 2


@pytest.mark.parametrize(("mode", "code"), [("fail", 3), ("silent", 0)])
def test_processes_that_did_not_come_to_the_end_fail_the_stage(
    plan: TrainingPlan, launch: str, monkeypatch: pytest.MonkeyPatch, mode: str, code: int
) -> None:
    monkeypatch.setenv("MODE", mode)
    # Of an earlier attempt; it must not be taken for the result of this one.
    (plan.folder / "torchrun-facts.json").write_text(json.dumps(vars(FACTS)), encoding="utf-8")
    with pytest.raises(StageFailedError, match=rf"the 2 processes of the training ended with exit code {code}: .*"):
        train_together(DATA, plan, 2, lambda: None)


def test_a_stop_ends_the_processes(plan: TrainingPlan, launch: str) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_together(DATA, plan, 2, stop)
    # It was ended before it could write what it has seen.
    assert not (plan.folder / "seen.json").exists()


def test_new_epochs_are_told_one_by_one_and_a_fresh_start_none_twice(tmp_path: Path) -> None:
    told: list[int] = []

    def look(text: str, seen: int) -> tuple[int, int]:
        told.clear()
        (tmp_path / HISTORY_NAME).write_text(text, encoding="utf-8")
        return torchrun._report_new_epochs(tmp_path, seen, lambda: told.append(1)), len(told)

    assert torchrun._num_epochs(tmp_path) == 0
    assert look("a\nb\n", 0) == (2, 2)
    assert look("a\nb\n", 2) == (2, 0)
    assert look("a\nb\nc\n", 2) == (3, 1)
    # The training began afresh.
    assert look("a\n", 3) == (1, 0)


@pytest.mark.parametrize(
    ("config", "gpus", "expected"),
    [
        (TrainConfig(), 0, 1),
        (TrainConfig(num_processes=0), 0, 1),
        (TrainConfig(num_processes=0), 4, 4),
        (TrainConfig(num_processes=0, device="cpu"), 4, 1),
        (TrainConfig(num_processes=3), 0, 3),
    ],
)
def test_there_are_as_many_processes_as_set_or_one_a_gpu(
    monkeypatch: pytest.MonkeyPatch, config: TrainConfig, gpus: int, expected: int
) -> None:
    monkeypatch.setattr("models.data.distributed.num_gpus", lambda: gpus)
    assert num_processes(config) == expected


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (TrainConfig(num_processes=4, batch_size=7, device="cpu"), "they cannot share batches of 7: .* at least 8"),
        (TrainConfig(device="cuda"), r"\[train\] .*cuda"),
    ],
)
def test_what_the_machine_or_the_batch_cannot_give_is_refused(
    monkeypatch: pytest.MonkeyPatch, config: TrainConfig, told: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("models.data.distributed.num_gpus", lambda: 0)
    with pytest.raises(SettingError, match=told):
        check_machine(config)


def test_more_processes_than_gpus_are_refused_unless_they_compute_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("models.data.distributed.num_gpus", lambda: 2)
    with pytest.raises(SettingError, match="num_processes is 3, but there are 2 GPUs: give 2 or 0, or device = cpu"):
        check_machine(TrainConfig(num_processes=3))
    check_machine(TrainConfig(num_processes=2))
    check_machine(TrainConfig(num_processes=3, device="cpu"))


def test_a_named_gpu_is_trained_on_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.data.distributed.num_gpus", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    assert num_processes(TrainConfig(device="cuda", num_processes=0)) == 4
    assert num_processes(TrainConfig(device="cuda:1", num_processes=0)) == 1
    check_machine(TrainConfig(device="cuda:1"))
    with pytest.raises(SettingError, match="num_processes is 2 and device is 'cuda:1', which is one GPU: set device"):
        check_machine(TrainConfig(device="cuda:1", num_processes=2))
