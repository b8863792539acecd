"""The worker of an ablation: what it trains and scores, what it leaves as it is, and how it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import SettingError
from models.config.network import NetworkConfig
from models.config.training import TrainConfig
from models.training.train import TrainSummary
from tasks.training import ablation_worker
from tasks.training.ablation_runs import TRAINING_NAME, BaselineRun, Scoring, jobs_of, plan_runs
from tasks.training.ablation_worker import do_job
from tasks.training.training_job import TrainingData
from tasks.training.variants import Variant

if TYPE_CHECKING:
    from tasks.training.training_job import TrainingPlan

DATA = TrainingData({"text": (Path("/t/0.h5"),)}, (Path("/m/0.jsonl"),), ("train",))
VARIANTS = (
    Variant("default", NetworkConfig(), TrainConfig(), ()),
    Variant("no sound", NetworkConfig(), TrainConfig(), ("audio",)),
)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Train and score without a network; return what was done."""
    done: list[object] = []

    def train_here(data: TrainingData, plan: TrainingPlan) -> TrainSummary:
        assert data is DATA
        done.append("train")
        plan.folder.mkdir(exist_ok=True)
        return TrainSummary(10, 4, 2, 0.5, stopped_early=False, seconds=6.0, history=())

    def score(data: TrainingData, plan: TrainingPlan, scoring: Scoring, device: str) -> dict[str, float]:
        done.append(scoring)
        return {"tag map": 0.25}

    monkeypatch.setattr(ablation_worker, "train_here", train_here)
    monkeypatch.setattr(ablation_worker, "_score", score)
    return done


def _jobs(folder: Path) -> list[dict[str, Any]]:
    """Return the jobs as a worker reads them."""
    return [json.loads(json.dumps(job)) for job in jobs_of(plan_runs(VARIANTS, "test", 1, folder, "data")).values()]


def test_variants_that_share_a_training_are_trained_once_and_scored_each(tmp_path: Path, done: list[object]) -> None:
    (job,) = _jobs(tmp_path)

    assert do_job(DATA, job) == ""

    assert done == ["train", Scoring("test"), Scoring("test", ("audio",))]
    runs = plan_runs(VARIANTS, "test", 1, tmp_path, "data")
    assert all(run.is_done() for run in runs)
    result = runs[1].result()
    assert (result.metrics, result.num_parameters, result.seconds_per_epoch) == ({"tag map": 0.25}, 10, 1.5)
    account = json.loads((runs[0].plan.folder / TRAINING_NAME).read_text(encoding="utf-8"))
    assert account["num_epochs"] == 4
    assert account["selected_epoch"] == 2
    assert account["network"] == runs[0].plan.to_json()["network"]


def test_what_is_done_is_not_done_again(tmp_path: Path, done: list[object]) -> None:
    (job,) = _jobs(tmp_path)
    do_job(DATA, job)
    done.clear()

    assert do_job(DATA, job) == ""
    assert done == []
    run = plan_runs(VARIANTS, "test", 1, tmp_path, "data")[1]
    run.files()[1].unlink()
    do_job(DATA, job)
    assert done == [Scoring("test", ("audio",))]
    done.clear()
    run.files()[0].unlink()
    do_job(DATA, job)
    assert done == ["train"]


def test_an_error_of_ours_is_the_answer_in_one_line_and_another_ends_the_worker(
    tmp_path: Path, done: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> None:
        def train_here(data: TrainingData, plan: TrainingPlan) -> None:
            raise error

        monkeypatch.setattr(ablation_worker, "train_here", train_here)

    (job,) = _jobs(tmp_path)
    fail(SettingError("fusion is 'glue':\n  give another"))
    assert do_job(DATA, job) == "fusion is 'glue': give another"
    fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        do_job(DATA, job)


def test_baselines_are_a_job_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str, bool]] = []

    def score(data: TrainingData, file: str, split: str, *, calibrated: bool) -> None:
        seen.append((file, split, calibrated))

    monkeypatch.setattr(ablation_worker, "_score_baselines", score)
    run = BaselineRun.below(tmp_path, "test", "data", calibrated=True)

    assert do_job(DATA, json.loads(json.dumps(run.job()))) == ""
    assert seen == [(str(run.file), "test", True)]


def test_a_worker_answers_each_line_with_one_whatever_libraries_print(tmp_path: Path) -> None:
    DATA.write(tmp_path / "data.json")
    code = """
import os, sys, pathlib
from tasks.training import ablation_worker

def do_job(data, job):
    print("a library says something")
    os.write(1, b"so does C++\\n")
    return f"{data.splits} {job}"

ablation_worker.do_job = do_job
ablation_worker.main(pathlib.Path(sys.argv[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data.json")],
        input='{"a": 1}\n"b"\n',
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"error": "('train',) {'a': 1}"}, {"error": "('train',) b"}
    ]  # fmt: skip
    assert done.stderr.count("so does C++") == 2
    assert "a library says something" in done.stderr
