"""Means over seeds and their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

_MIN_VALUES = 2
"""A spread needs two values."""

_SPREAD_OF_ROUNDING = 1e-12
"""Scores run from 0 to 1, so a smaller deviation is float rounding."""


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


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of at least one value with its 95 % interval by Student's t, n - 1 degrees of freedom.

    Of paired differences it is the interval of the paired t test: it excludes 0 when and only when that test's
    two-sided p is below 0.05. One value has no interval; equal values have one of no width.

    Student 1908, "The probable error of a mean".
    """
    mean = float(np.mean(values))
    if len(values) < _MIN_VALUES:
        return Estimate(mean, None, None, len(values))
    deviation = float(np.std(values, ddof=1))
    if deviation < _SPREAD_OF_ROUNDING:
        return Estimate(mean, mean, mean, len(values))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return Estimate(mean, mean - reach, mean + reach, len(values))
