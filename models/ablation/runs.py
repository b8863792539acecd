"""What one run of an ablation gave, or why it gave nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from features.base.errors import DataError

HEADLINES = ("category accuracy", "category macro_f1", "category map", "tag map", "tag gap@20")
"""The metrics that say whether a variant helped, unless others are chosen."""

_WORDS = {"map": "mAP", "gap@20": "GAP@20", "f1": "F1"}


@dataclass(frozen=True)
class AblationRun:
    """One variant, trained and scored once.

    Attributes:
        variant: Its name.
        seed: Of the run. Runs of two variants with the same seed are compared with each other, so whatever the
            seed decides (weights, order of the clips, split) must be the same in both.
        metrics: Metric, such as `tag map` -> score, higher is better; None where it is not defined.
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
    """A run that gave no score.

    Attributes:
        variant: Its name.
        seed: Of the run; None where it knows of no seed, as a baseline.
        reason: What was wrong, in words.
    """

    variant: str
    seed: int | None
    reason: str


def metric_label(metric: str) -> str:
    """The metric as a person writes it: `category macro_f1` is category macro F1."""
    return " ".join(_WORDS.get(word, word) for word in metric.replace("_", " ").split())
