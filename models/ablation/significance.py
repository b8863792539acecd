"""Means over seeds with their intervals, and what a paired difference shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95

# A spread needs two values.
_MIN_VALUES = 2
# Scores run from 0 to 1: deviations and differences below this are float rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        low: Lower end of its 95 % interval; None when there is one seed.
        high: Upper end; None when there is one seed.
        num_seeds: Values behind it; at least 1.
    """

    mean: float
    low: float | None
    high: float | None
    num_seeds: int


class Verdict(str, Enum):
    """What a difference to the reference shows; the values are the words of the tables."""

    HELPED = "helped"
    HARMED = "harmed"
    NOT_SHOWN = "no difference shown"
    UNDECIDED = "not decided"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of at least one value with its 95 % interval by Student's t, n - 1 degrees of freedom.

    Of paired differences it is the interval of the paired t test: it excludes 0 when and only when that test's
    two-sided p is below 0.05. One value has no interval; equal values have one of no width.

    Student 1908, "The probable error of a mean".
    """
    mean = float(np.mean(values))
    if len(values) < _MIN_VALUES:
        return Estimate(mean, None, None, len(values))
    deviation = float(np.std(values, ddof=1))
    if deviation < _ROUNDING:
        return Estimate(mean, mean, mean, len(values))
    half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return Estimate(mean, mean - half_width, mean + half_width, len(values))


def verdict(difference: Estimate | None) -> Verdict:
    """Return helped or harmed when the interval excludes 0, undecided without an interval.

    Equal differences in every seed leave an interval without width. Scores of few clips are coarse, and two
    seeds often agree to the clip, so that such an interval is no proof: it counts as undecided, unless the
    differences are 0, which shows none.
    """
    if difference is None or difference.low is None or difference.high is None:
        return Verdict.UNDECIDED
    if difference.low == difference.high:
        return Verdict.NOT_SHOWN if abs(difference.mean) < _ROUNDING else Verdict.UNDECIDED
    if difference.low > 0:
        return Verdict.HELPED
    return Verdict.HARMED if difference.high < 0 else Verdict.NOT_SHOWN
