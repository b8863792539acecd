"""The process that executes the runs of an ablation: ``python -m tasks.training.ablation_worker DATA.json``.

It reads one job a line and writes one result a line: ``{"error": ""}``, or what was wrong with that job.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.base.errors import PipelineError, one_line
from features.base.files import publish_json
from features.base.machine import resolve_device
from features.base.process import die_with_parent
from models.ablation.runs import run_metrics
from tasks.training.ablation_runs import TRAINING_NAME, Scoring
from tasks.training.training_job import TrainingData, TrainingPlan, train_here

if TYPE_CHECKING:
    from collections.abc import Mapping


def main(data_path: Path) -> None:
    """Run the jobs of the standard input until it ends."""
    die_with_parent()
    # What libraries print goes where errors go; the standard output is for the results.
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    data = TrainingData.read(data_path)
    for line in sys.stdin:
        print(json.dumps({"error": do_job(data, json.loads(line))}), file=results, flush=True)


def do_job(data: TrainingData, job: Mapping[str, Any]) -> str:
    """Run one job, skipping finished parts; return its error or ``""``."""
    try:
        if "baselines" in job:
            _score_baselines(data, **job["baselines"])
        else:
            _train_and_score(data, TrainingPlan.from_json(job["plan"]), job["scorings"], job["device"])
    except PipelineError as error:
        return one_line(error)
    return ""


def _train_and_score(data: TrainingData, plan: TrainingPlan, scorings: list[dict[str, Any]], device: str) -> None:
    if not (plan.folder / TRAINING_NAME).exists():
        summary = train_here(data, plan)
        record = {
            **plan.to_json(),
            "num_parameters": summary.num_parameters,
            "num_epochs": summary.num_epochs,
            "selected_epoch": summary.selected_epoch,
            "seconds_per_epoch": summary.seconds / summary.num_epochs,
        }
        publish_json(plan.folder / TRAINING_NAME, record)
    for item in scorings:
        scoring = Scoring(item["split"], tuple(item["hidden"]))
        if not (plan.folder / scoring.file_name).exists():
            publish_json(plan.folder / scoring.file_name, _score(data, plan, scoring, device))


def _score(data: TrainingData, plan: TrainingPlan, scoring: Scoring, device: str) -> dict[str, float]:
    from models.data.labels import positions_of  # noqa: PLC0415 - loads numpy
    from models.evaluation.evaluate import evaluate  # noqa: PLC0415 - loads numpy and scikit-learn
    from models.prediction.predict import predict  # noqa: PLC0415 - loads torch

    scored = positions_of(data.splits, scoring.split)
    found = predict(
        plan.folder,
        data.clips,
        scored,
        feature_recipes=data.clips.recipes(),
        device=str(resolve_device(device)),
        calibrated=scoring.calibrated,
        hidden=scoring.hidden,
    )
    return run_metrics(evaluate(found, data.labels, scored))


def _score_baselines(data: TrainingData, file: str, split: str, *, calibrated: bool) -> None:
    from models.data.labels import positions_of  # noqa: PLC0415 - loads numpy
    from models.evaluation.baselines import run_baselines  # noqa: PLC0415 - loads scikit-learn
    from models.evaluation.evaluate import evaluate  # noqa: PLC0415 - loads numpy and scikit-learn
    from models.evaluation.logistic_regression import LogisticSettings  # noqa: PLC0415 - loads scikit-learn

    scored = positions_of(data.splits, split)
    found = run_baselines(
        data.clips,
        data.labels,
        train=positions_of(data.splits, "train"),
        validation=positions_of(data.splits, "validation"),
        scored=scored,
        settings=LogisticSettings(),
        calibrated=calibrated,
    )
    metrics = {name: run_metrics(evaluate(scores, data.labels, scored)) for name, scores in found.items()}
    publish_json(Path(file), metrics)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
