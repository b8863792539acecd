"""Numbers of an ablation in words, the same in every rendering."""

from models.ablation.intervals import Estimate
from models.ablation.table import MetricSummary, VariantSummary

NOTHING = "–"


def scored_text(estimate: Estimate | None, num_seeds: int) -> str:
    """A mean with half its interval, `0.812 ± 0.010`; how many seeds are behind it where not all `num_seeds` are."""
    if estimate is None:
        return NOTHING
    reach = "" if estimate.high is None else f" ± {estimate.high - estimate.mean:.3f}"
    seeds = "" if estimate.num_seeds == num_seeds else f" (n {estimate.num_seeds})"
    return f"{score_text(estimate.mean)}{reach}{seeds}"


def difference_text(summary: MetricSummary) -> str:
    """A difference with its interval: `+0.012 (0.004 to 0.020)`."""
    found = summary.difference
    return NOTHING if found is None else f"{signed_text(found.mean)} ({interval_text(found)})"


def score_text(value: float) -> str:
    """A score or a bound with three decimals and a real minus."""
    rounded = round(value, 3)
    return f"{rounded or 0.0:.3f}".replace("-", "−")


def signed_text(value: float) -> str:
    """A difference with its sign and three decimals."""
    rounded = round(value, 3)
    return f"{rounded:+.3f}".replace("-", "−") if rounded else "±0.000"


def interval_text(estimate: Estimate) -> str:
    """The 95 % interval, `0.004 to 0.020`; without one, why."""
    if estimate.low is None or estimate.high is None:
        return "one seed, no interval"
    return f"{score_text(estimate.low)} to {score_text(estimate.high)}"


def seeds_text(variant: VariantSummary) -> str:
    """How many of all seeds the variant ran with, and which it lacks: `2 of 3, without 7`."""
    if not variant.missing_seeds:
        return f"{len(variant.seeds)}"
    total = len(variant.seeds) + len(variant.missing_seeds)
    return f"{len(variant.seeds)} of {total}, without {', '.join(map(str, variant.missing_seeds))}"


def pairs_text(difference: Estimate) -> str:
    """How many seeds are behind a difference."""
    return "1 seed" if difference.num_seeds == 1 else f"{difference.num_seeds} seeds"
