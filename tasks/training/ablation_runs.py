"""The runs of an ablation: what each is a function of, where it is kept, and what is read from it.

A training is kept in a folder named by the digest of its settings and data: all variants and ablations that need it
share it, and a kill loses at most the trainings in progress.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from features.base.files import sha256_of_json
from features.base.settings import identity_values
from models.ablation.runs import AblationRun, current_metrics, is_calibrated
from models.config.artifacts import RESUME_NAME
from tasks.training.training_job import TRAINING_VERSION, TrainingPlan
from tasks.training.variants import BASELINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from models.config.network import NetworkConfig
    from models.config.training import TrainConfig
    from tasks.training.variants import Variant

TRAINING_NAME = "training.json"
RUN_DIGITS = 16


@dataclass(frozen=True)
class Scoring:
    """One way to score a network.

    Attributes:
        split: Of the clips that are scored.
        hidden: Modalities that are taken away from them.
    """

    split: str
    hidden: tuple[str, ...] = ()

    @property
    def calibrated(self) -> bool:
        """Whether the calibration of the network, where there is one, is applied."""
        return is_calibrated(self.split)

    @property
    def file_name(self) -> str:
        """Name of the file with the metrics."""
        without = ["without", *self.hidden] if self.hidden else []
        return f"{'-'.join([self.split, *without, *([] if self.calibrated else ['uncalibrated'])])}.json"


@dataclass(frozen=True)
class PlannedRun:
    """One cell of the table: a variant with a seed.

    Attributes:
        variant: Its name.
        seed: Of its training.
        plan: How it is trained.
        scoring: How it is scored.
    """

    variant: str
    seed: int
    plan: TrainingPlan
    scoring: Scoring

    def files(self) -> tuple[Path, Path]:
        """Return the paths of the training's record and of its metrics."""
        return self.plan.folder / TRAINING_NAME, self.plan.folder / self.scoring.file_name

    def is_done(self) -> bool:
        """Return whether its training and its metrics are complete."""
        return all(path.exists() for path in self.files())

    def result(self) -> AblationRun:
        """Return its result."""
        training, metrics = map(_read, self.files())
        return AblationRun(
            self.variant,
            self.seed,
            current_metrics(metrics),
            training["num_parameters"],
            training["seconds_per_epoch"],
        )


def plan_runs(
    variants: Sequence[Variant], scored_split: str, num_seeds: int, folder: Path, data_digest: str
) -> list[PlannedRun]:
    """Return every run, all variants with the first seed first: an interrupted ablation has a whole table.

    Args:
        variants: What is compared.
        scored_split: Split that is scored.
        num_seeds: Runs of each variant.
        folder: Where the runs are kept.
        data_digest: Of all that is learnt from.
    """
    runs = []
    for number in range(num_seeds):
        for variant in variants:
            seed = variant.train.seed + number
            train = replace(variant.train, seed=seed, num_threads=1, num_processes=1, tensorboard=False)
            own = folder / training_digest(variant.network, train, data_digest)
            plan = TrainingPlan(variant.network, train, own)
            runs.append(PlannedRun(variant.name, seed, plan, Scoring(scored_split, variant.hidden)))
    return runs


def training_digest(network: NetworkConfig, train: TrainConfig, data_digest: str) -> str:
    """Return hex digits that change when the trained network would."""
    identity = {
        "version": TRAINING_VERSION,
        "network": identity_values(network),
        "train": identity_values(train),
        "data": data_digest,
    }
    return sha256_of_json(identity)[:RUN_DIGITS]


@dataclass(frozen=True)
class BaselineRun:
    """The baselines, which have no seed and no variant.

    Attributes:
        folder: Where their metrics are kept.
        split: That is scored.
        calibrated: Whether they are calibrated like the networks.
    """

    folder: Path
    split: str
    calibrated: bool

    @classmethod
    def below(cls, folder: Path, split: str, data_digest: str, *, calibrated: bool) -> BaselineRun:
        """Return the baselines on some data; their metrics are kept below ``folder``.

        Args:
            folder: Where the runs are kept.
            split: That is scored.
            data_digest: Of all that is learnt from.
            calibrated: Whether networks are; the baselines are where that does not fit them to the scored clips.
        """
        calibrated = calibrated and is_calibrated(split)
        digest = sha256_of_json({"baselines": 1, "calibrated": calibrated, "data": data_digest})
        return cls(folder / digest[:RUN_DIGITS], split, calibrated)

    @property
    def file(self) -> Path:
        """Path of their metrics."""
        return self.folder / f"{self.split}.json"

    def results(self, seeds: Iterable[int]) -> list[AblationRun]:
        """Return a row for each baseline and seed, so that it is compared with the reference in each."""
        found = _read(self.file)
        return [AblationRun(name, seed, current_metrics(found[name]), 0, 0.0) for seed in seeds for name in BASELINES]

    def job(self) -> dict[str, Any]:
        """Return the job for a worker."""
        return {"baselines": {"file": str(self.file), "split": self.split, "calibrated": self.calibrated}}


def jobs_of(runs: Sequence[PlannedRun], device: str = "cpu") -> dict[Path, dict[str, Any]]:
    """Return the worker's job of each training, by its folder, in the order of the runs.

    Args:
        runs: What is trained and scored.
        device: Setting of the device that scores; the one that trains is in the plan.
    """
    jobs: dict[Path, dict[str, Any]] = {}
    for run in runs:
        job = jobs.setdefault(run.plan.folder, {"plan": run.plan.to_json(), "scorings": [], "device": device})
        scoring = {"split": run.scoring.split, "hidden": list(run.scoring.hidden)}
        if scoring not in job["scorings"]:
            job["scorings"].append(scoring)
    return jobs


def forget(folders: Iterable[Path]) -> None:
    """Delete the results in ``folders``, so that the trainings are run again."""
    for folder in folders:
        for path in (*folder.glob("*.json"), folder / RESUME_NAME):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
