"""The runs of an ablation, summarised by variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import DataError
from models.ablation.runs import HEADLINES, AblationRun, FailedRun
from models.ablation.significance import Estimate, Verdict, estimate, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class MetricSummary:
    """One metric of one variant.

    Attributes:
        value: Its mean over the seeds that have it; None when no seed does.
        difference: Mean of the differences to the reference, seed by seed, over the seeds that both have; None
            for the reference, and when they share no seed.
        verdict: What the difference shows; None for the reference.
    """

    value: Estimate | None
    difference: Estimate | None
    verdict: Verdict | None


@dataclass(frozen=True)
class VariantSummary:
    """One variant over its seeds.

    Attributes:
        name: Of the variant.
        seeds: Of its runs, ascending.
        missing_seeds: Seeds that other variants ran with and this one did not, ascending.
        num_parameters: Most of its runs.
        seconds_per_epoch: Median of its runs.
        metrics: Metric -> summary, all metrics of the table.
    """

    name: str
    seeds: tuple[int, ...]
    missing_seeds: tuple[int, ...]
    num_parameters: int
    seconds_per_epoch: float
    metrics: Mapping[str, MetricSummary]


@dataclass(frozen=True)
class AblationTable:
    """All variants beside the reference.

    Attributes:
        reference: Name of the variant that the others are compared with.
        metrics: Every metric that some run has a score of, headlines first.
        headlines: Those of them that decide whether a variant helped.
        variants: The reference first, the others in the order of their first runs.
        runs: What was summarised, in the order given.
        split: Split that was scored; empty where it is not known.
        failures: Runs that gave no score, in the order given.
    """

    reference: str
    metrics: tuple[str, ...]
    headlines: tuple[str, ...]
    variants: tuple[VariantSummary, ...]
    runs: tuple[AblationRun, ...]
    split: str
    failures: tuple[FailedRun, ...]

    @property
    def num_comparisons(self) -> int:
        """Number of headline differences with an interval: each has its own chance to exclude 0."""
        found = [variant.metrics[metric].difference for variant in self.variants for metric in self.headlines]
        return sum(difference is not None and difference.low is not None for difference in found)


def summarise(
    runs: Sequence[AblationRun],
    reference: str,
    *,
    headlines: Sequence[str] = HEADLINES,
    split: str = "",
    failures: Sequence[FailedRun] = (),
) -> AblationTable:
    """Return the runs by variant, each compared with ``reference`` seed by seed.

    Args:
        runs: At least one of the reference; a variant and a seed occur together once.
        reference: Name of a variant.
        headlines: Metrics that decide whether a variant helped, most important first; those that no run has a
            score of are left out.
        split: Split that was scored; empty where it is not known.
        failures: Runs that gave no score.

    Raises:
        DataError: The reference has no run, or a variant has two runs of one seed.
    """
    by_variant = _by_variant(runs)
    if reference not in by_variant:
        known = ", ".join(by_variant) or "none"
        raise DataError(f"no run of the reference {reference!r}: name one of the variants that ran ({known})")
    scored = list(dict.fromkeys(name for run in runs for name, score in run.metrics.items() if score is not None))
    chosen = tuple(name for name in headlines if name in scored)
    metrics = (*chosen, *(name for name in scored if name not in chosen))
    order = [reference, *(name for name in by_variant if name != reference)]
    all_seeds = {run.seed for run in runs}
    variants = tuple(
        _summary(by_variant[name], None if name == reference else by_variant[reference], metrics, all_seeds)
        for name in order
    )
    return AblationTable(reference, metrics, chosen, variants, tuple(runs), split, tuple(failures))


def _by_variant(runs: Sequence[AblationRun]) -> dict[str, dict[int, AblationRun]]:
    """Return variant -> seed -> its run."""
    found: dict[str, dict[int, AblationRun]] = {}
    for run in runs:
        by_seed = found.setdefault(run.variant, {})
        if run.seed in by_seed:
            raise DataError(
                f"variant {run.variant!r} has two runs of seed {run.seed}: give each seed once, or name the "
                "variants apart"
            )
        by_seed[run.seed] = run
    return found


def _summary(
    runs: Mapping[int, AblationRun],
    reference: Mapping[int, AblationRun] | None,
    metrics: Sequence[str],
    all_seeds: set[int],
) -> VariantSummary:
    first = next(iter(runs.values()))
    return VariantSummary(
        name=first.variant,
        seeds=tuple(sorted(runs)),
        missing_seeds=tuple(sorted(all_seeds - set(runs))),
        num_parameters=max(run.num_parameters for run in runs.values()),
        seconds_per_epoch=float(np.median([run.seconds_per_epoch for run in runs.values()])),
        metrics={metric: _metric(runs, reference, metric) for metric in metrics},
    )


def _metric(runs: Mapping[int, AblationRun], reference: Mapping[int, AblationRun] | None, metric: str) -> MetricSummary:
    scores = _scores(runs, metric)
    value = estimate(list(scores.values())) if scores else None
    if reference is None:
        return MetricSummary(value, None, None)
    of_reference = _scores(reference, metric)
    shared = sorted(scores.keys() & of_reference.keys())
    differences = [scores[seed] - of_reference[seed] for seed in shared]
    difference = estimate(differences) if differences else None
    return MetricSummary(value, difference, verdict(difference))


def _scores(runs: Mapping[int, AblationRun], metric: str) -> dict[int, float]:
    """Return seed -> score, of the seeds that have one, ascending."""
    found = {seed: runs[seed].metrics.get(metric) for seed in sorted(runs)}
    return {seed: score for seed, score in found.items() if score is not None}
