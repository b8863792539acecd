"""What a paired difference shows."""

from enum import Enum

from models.ablation.intervals import Estimate

_NO_DIFFERENCE = 1e-12
"""Differences of scores below this are float rounding."""


class Verdict(str, Enum):
    """What a difference to the reference shows, in the words of the tables."""

    HELPED = "helped"
    HARMED = "harmed"
    NOT_SHOWN = "no difference shown"
    UNDECIDED = "not decided"


def verdict(difference: Estimate | None) -> Verdict:
    """Helped or harmed when the interval excludes 0, undecided without an interval.

    Equal differences in every seed leave an interval without width. Scores of few clips are coarse, and two
    seeds often agree to the clip, so that such an interval is no proof: it counts as undecided, unless the
    differences are 0, which shows none.
    """
    if difference is None or difference.low is None or difference.high is None:
        return Verdict.UNDECIDED
    if difference.low == difference.high:
        return Verdict.NOT_SHOWN if abs(difference.mean) < _NO_DIFFERENCE else Verdict.UNDECIDED
    if difference.low > 0:
        return Verdict.HELPED
    return Verdict.HARMED if difference.high < 0 else Verdict.NOT_SHOWN
