"""What the runs of an ablation are functions of, and in which order and how often they are done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.ablation.runs import AblationRun
from models.config.network import NetworkConfig
from models.config.training import TrainConfig
from tasks.training.ablation_runs import BaselineRun, Scoring, forget, jobs_of, plan_runs, training_digest
from tasks.training.training_job import TrainingPlan
from tasks.training.variants import Variant

ROOT = Path("/nowhere/runs")
NETWORK, TRAIN = NetworkConfig(), TrainConfig(seed=4, num_threads=3, num_processes=2)
VARIANTS = (
    Variant("default", NETWORK, TRAIN, ()),
    Variant("without sound", NETWORK, TRAIN, ("audio",)),
    Variant("fgm", NETWORK, replace(TRAIN, adversarial="fgm"), ()),
)


def test_all_variants_run_with_the_first_seed_first() -> None:
    runs = plan_runs(VARIANTS, "validation", 2, ROOT, "data")

    assert [(run.variant, run.seed) for run in runs] == [
        ("default", 4), ("without sound", 4), ("fgm", 4), ("default", 5), ("without sound", 5), ("fgm", 5),
    ]  # fmt: skip
    assert all(run.plan.train.seed == run.seed for run in runs)
    assert {(run.plan.train.num_threads, run.plan.train.num_processes) for run in runs} == {(1, 1)}


def test_a_variant_that_only_scores_otherwise_shares_the_training() -> None:
    runs = plan_runs(VARIANTS, "validation", 2, ROOT, "data")

    jobs = jobs_of(runs)

    assert len(jobs) == 4
    first = jobs[runs[0].plan.folder]
    assert first["scorings"] == [{"split": "validation", "hidden": []}, {"split": "validation", "hidden": ["audio"]}]
    assert TrainingPlan.from_json(json.loads(json.dumps(first["plan"]))) == runs[0].plan
    assert Scoring("test", ("audio", "text")).file_name == "test-without-audio-text.json"


@pytest.mark.parametrize(("split", "calibrated"), [("validation", False), ("test", True), ("train", True)])
def test_only_clips_that_calibrated_nothing_are_scored_by_calibrated_networks(split: str, calibrated: bool) -> None:
    assert Scoring(split).calibrated == calibrated
    # Before this rule the file of every split was called by the split alone, and held calibrated scores.
    assert (Scoring(split).file_name == f"{split}.json") == calibrated
    assert Scoring(split, ("text",)).file_name != Scoring(split).file_name
    baselines = BaselineRun.below(ROOT, split, "data", calibrated=True)
    assert baselines.calibrated == calibrated
    assert baselines.job()["baselines"]["calibrated"] == calibrated
    plain = BaselineRun.below(ROOT, split, "data", calibrated=False)
    assert not plain.calibrated
    assert (plain.folder == baselines.folder) == (not calibrated)


@pytest.mark.parametrize(
    ("network", "train", "data"),
    [
        (replace(NETWORK, fusion="concat"), TRAIN, "data"),
        (NETWORK, replace(TRAIN, learning_rate=0.1), "data"),
        (NETWORK, replace(TRAIN, seed=9), "data"),
        (NETWORK, TRAIN, "other data"),
    ],
)
def test_a_training_has_another_folder_when_it_would_come_out_otherwise(
    network: NetworkConfig, train: TrainConfig, data: str
) -> None:
    assert training_digest(network, train, data) != training_digest(NETWORK, TRAIN, "data")


def test_what_changes_no_result_changes_no_folder() -> None:
    elsewhere = replace(TRAIN, device="cpu", cache_megabytes=1, tensorboard=False, num_processes=4)
    assert training_digest(NETWORK, elsewhere, "data") == training_digest(NETWORK, TRAIN, "data")
    before = plan_runs(VARIANTS, "validation", 1, ROOT, "data")
    other_order = plan_runs(VARIANTS[::-1], "test", 1, ROOT, "data")
    assert {run.plan.folder for run in before} == {run.plan.folder for run in other_order}


def test_a_run_is_done_and_read_when_both_of_its_files_are_there(tmp_path: Path) -> None:
    run = plan_runs(VARIANTS[1:2], "test", 1, tmp_path, "data")[0]
    run.plan.folder.mkdir()
    assert not run.is_done()
    training, metrics = run.files()
    training.write_text('{"num_parameters": 7, "seconds_per_epoch": 0.5}', encoding="utf-8")
    assert not run.is_done()
    metrics.write_text('{"tag map": 0.25}', encoding="utf-8")
    assert run.is_done()
    assert run.result() == AblationRun("without sound", 4, {"tag map": 0.25}, 7, 0.5)

    (run.plan.folder / "resume.pt").write_bytes(b"half")
    forget([run.plan.folder])
    assert list(run.plan.folder.iterdir()) == []


def test_the_baselines_stand_beside_every_seed(tmp_path: Path) -> None:
    baselines = BaselineRun.below(tmp_path, "test", "data", calibrated=True)
    assert baselines.folder != BaselineRun.below(tmp_path, "test", "data", calibrated=False).folder
    assert baselines.folder != BaselineRun.below(tmp_path, "test", "other", calibrated=True).folder
    baselines.folder.mkdir()
    baselines.file.write_text('{"majority": {"tag map": 0.1}, "logistic_regression": {"tag map": 0.2}}', "utf-8")

    rows = [(row.variant, row.seed, row.metrics["tag map"]) for row in baselines.results([4, 5])]

    assert rows == [
        ("majority", 4, 0.1), ("logistic_regression", 4, 0.2), ("majority", 5, 0.1), ("logistic_regression", 5, 0.2),
    ]  # fmt: skip
