"""Runs of an ablation: their scores by metric, and what the scored clips were also used for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.base.errors import DataError
from models.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

# The metrics that decide whether a variant helped, unless others are chosen.
HEADLINES = tuple(metric.run_name for metric in METRICS if metric.is_headline)
# The split whose clips choose the epoch and fit temperatures, thresholds and the lift of rare categories.
FITTED_ON = "validation"
# What the scores of a cross-validation are.
HELD_OUT_FOLDS = (
    "Each fold is scored by the network that was not trained on it. Its clips chose the epoch of that network all the "
    "same, which makes the scores somewhat too good. Nothing is calibrated: temperatures and thresholds would be "
    "fitted to the very clips that are scored. So a tag is given from 0.5 on."
)
_ABOUT = {
    "validation": (
        "Scored on the validation split. Its clips also choose the epoch of each network and the regularisation of "
        "logistic regression, which makes the scores somewhat too good. Nothing is calibrated: temperatures and "
        "thresholds would be fitted to the very clips that are scored. So a tag is given from 0.5 on."
    ),
    "test": (
        "Scored on the test split, which chose and fitted nothing; temperatures and thresholds, where there are any, "
        "were fitted on the validation split."
    ),
    "train": "Scored on the train split, from which everything was learned: scores of what is remembered.",
}
_LABELS = {metric.run_name: metric.title for metric in METRICS}
_RENAMED = {metric.former_run_name: metric.run_name for metric in METRICS if metric.former_run_name}


@dataclass(frozen=True)
class AblationRun:
    """One variant, trained and scored once.

    Attributes:
        variant: Its name.
        seed: Of the run. Runs of two variants with the same seed are compared with each other, so whatever the
            seed decides (weights, order of the clips, split) must be the same in both.
        metrics: Metric, such as ``tag map`` -> score, higher is better; None where it is not defined.
        num_parameters: Of the network; at least 0.
        seconds_per_epoch: Mean wall time of an epoch; at least 0.
    """

    variant: str
    seed: int
    metrics: Mapping[str, float | None]
    num_parameters: int
    seconds_per_epoch: float

    def __post_init__(self) -> None:
        numbers = {"num_parameters": self.num_parameters, "seconds_per_epoch": self.seconds_per_epoch}
        known = {name: score for name, score in self.metrics.items() if score is not None}
        for name, number in {**known, **numbers}.items():
            if not math.isfinite(number):
                raise DataError(
                    f"{name} of variant {self.variant!r}, seed {self.seed}, is {number}: give a finite number, "
                    "or None for a metric that is not defined"
                )
        for name, number in numbers.items():
            if number < 0:
                raise DataError(f"{name} of variant {self.variant!r}, seed {self.seed}, is {number}: give 0 or more")


@dataclass(frozen=True)
class FailedRun:
    """A run without a score.

    Attributes:
        variant: Its name.
        seed: Of the run; None for a baseline, which has no seed.
        reason: The error, or how its process ended.
    """

    variant: str
    seed: int | None
    reason: str


def run_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return name of a metric, such as ``tag gap@20`` -> score, of the heads that were evaluated.

    Args:
        evaluation: An :class:`~models.evaluation.evaluate.Evaluation`.
    """
    blocks = {metric.head: evaluation[metric.head] for metric in METRICS}
    return {metric.run_name: blocks[metric.head][metric.key] for metric in METRICS if blocks[metric.head] is not None}


def current_metrics(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the scores of a run by name, as read from a file that an earlier version may have written."""
    return {current_name(name): score for name, score in metrics.items()}


def current_name(metric: str) -> str:
    """Return the name of a metric that a file may have under the name of an earlier version."""
    return _RENAMED.get(metric, metric)


def metric_label(metric: str) -> str:
    """Return how pages name a metric of a run: ``category macro F1`` for ``category macro_f1``."""
    return _LABELS.get(metric, metric.replace("_", " "))


def is_calibrated(split: str) -> bool:
    """Return whether scores of a split are calibrated: not where the calibration was fitted to the same clips."""
    return split != FITTED_ON


def about_split(split: str) -> str:
    """Return what the scores of a split are, in sentences; ``""`` where the split is not known."""
    return _ABOUT.get(split, "")
