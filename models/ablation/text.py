"""An ablation as text: its numbers in one form for every page, and its findings in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.ablation.runs import metric_label
from models.ablation.significance import CONFIDENCE, Estimate, Verdict

if TYPE_CHECKING:
    from models.ablation.table import AblationTable, MetricSummary, VariantSummary

NOTHING = "–"


def scored_text(estimate: Estimate | None, num_seeds: int) -> str:
    """Return a mean with half its interval, ``0.812 ± 0.010``, and its seeds where they are not all ``num_seeds``."""
    if estimate is None:
        return NOTHING
    half_width = "" if estimate.high is None else f" ± {estimate.high - estimate.mean:.3f}"
    seeds = "" if estimate.num_seeds == num_seeds else f" (n {estimate.num_seeds})"
    return f"{three_decimals(estimate.mean)}{half_width}{seeds}"


def difference_text(summary: MetricSummary) -> str:
    """Return a difference with its interval: ``+0.012 (0.004 to 0.020)``."""
    found = summary.difference
    return NOTHING if found is None else f"{signed_text(found.mean)} ({interval_text(found)})"


def three_decimals(value: float) -> str:
    """Return a score or a bound with three decimals and a real minus."""
    rounded = round(value, 3)
    return f"{rounded or 0.0:.3f}".replace("-", "−")


def signed_text(value: float) -> str:
    """Return a difference with its sign and three decimals."""
    rounded = round(value, 3)
    return f"{rounded:+.3f}".replace("-", "−") if rounded else "±0.000"


def interval_text(estimate: Estimate) -> str:
    """Return the 95 % interval, ``0.004 to 0.020``, or why there is none."""
    if estimate.low is None or estimate.high is None:
        return "one seed, no interval"
    return f"{three_decimals(estimate.low)} to {three_decimals(estimate.high)}"


def seeds_text(variant: VariantSummary) -> str:
    """Return the number of seeds that the variant ran with, and those it lacks: ``2 of 3, without 7``."""
    if not variant.missing_seeds:
        return f"{len(variant.seeds)}"
    total = len(variant.seeds) + len(variant.missing_seeds)
    return f"{len(variant.seeds)} of {total}, without {', '.join(map(str, variant.missing_seeds))}"


def findings(table: AblationTable) -> list[str]:
    """Return what the headline metrics show: helped, harmed, no difference shown, and how far to trust it."""
    others = [variant for variant in table.variants if variant.name != table.reference]
    if not others or not table.headlines:
        return [f"Nothing was compared with {table.reference}."]
    found = [line for kind in (Verdict.HELPED, Verdict.HARMED) for line in _shown(table, others, kind)]
    if not found:
        found = [f"No variant is shown to differ from {table.reference} in any headline metric."]
    for variant in others:
        found += _not_shown(table, variant) + _undecided(table, variant)
    return [*found, *_missing(table), *_caution(table)]


def failure_lines(table: AblationTable) -> list[str]:
    """Return the runs without a score with their reasons: a line for each variant and reason."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for run in table.failures:
        own = seeds.setdefault((run.variant, run.reason), [])
        if run.seed is not None:
            own.append(str(run.seed))
    return [
        f"{variant} (seed {', '.join(own)}): {reason}" if own else f"{variant}: {reason}"
        for (variant, reason), own in seeds.items()
    ]


def _shown(table: AblationTable, variants: list[VariantSummary], kind: Verdict) -> list[str]:
    """Return a sentence for each headline difference of one kind that is shown."""
    return [
        f"{variant.name}: {metric_label(metric)} {signed_text(difference.mean)} "
        f"(95 % interval {interval_text(difference)}, {_pairs_text(difference)}) against {table.reference}: "
        f"{kind.value}."
        for variant in variants
        for metric, difference in _differences(table, variant, kind)
    ]


def _pairs_text(difference: Estimate) -> str:
    return "1 seed" if difference.num_seeds == 1 else f"{difference.num_seeds} seeds"


def _not_shown(table: AblationTable, variant: VariantSummary) -> list[str]:
    parts = [
        f"{metric_label(metric)} ({signed_text(difference.mean)}, {interval_text(difference)})"
        for metric, difference in _differences(table, variant, Verdict.NOT_SHOWN)
    ]
    return [f"{variant.name}: {Verdict.NOT_SHOWN.value} in {', '.join(parts)}."] if parts else []


def _undecided(table: AblationTable, variant: VariantSummary) -> list[str]:
    """Return a sentence about the metrics of which there are too few scores to decide."""
    parts = [
        f"{metric_label(metric)} ({signed_text(difference.mean)}, {_why_undecided(difference)})"
        for metric, difference in _differences(table, variant, Verdict.UNDECIDED)
    ]
    parts += [
        f"{metric_label(metric)} (no seed in common)"
        for metric in table.headlines
        if variant.metrics[metric].difference is None
    ]
    return [f"{variant.name}: {Verdict.UNDECIDED.value} in {', '.join(parts)}."] if parts else []


def _why_undecided(difference: Estimate) -> str:
    return "one seed" if difference.low is None else f"the same in all {difference.num_seeds} seeds"


def _differences(table: AblationTable, variant: VariantSummary, kind: Verdict) -> list[tuple[str, Estimate]]:
    """Return headline metric and difference of one kind, in the table's order."""
    summaries = [(metric, variant.metrics[metric]) for metric in table.headlines]
    return [
        (metric, summary.difference)
        for metric, summary in summaries
        if summary.verdict is kind and summary.difference is not None
    ]


def _missing(table: AblationTable) -> list[str]:
    lacking = [f"{variant.name} ({seeds_text(variant)})" for variant in table.variants if variant.missing_seeds]
    return [f"Seeds are missing: {', '.join(lacking)}. Only seeds in common are compared."] if lacking else []


def _caution(table: AblationTable) -> list[str]:
    """Return how many differences would be shown by chance alone."""
    number = table.num_comparisons
    if not number:
        return []
    by_chance = number * (1 - CONFIDENCE)
    text = (
        f"{number} differences have a 95 % interval. If no variant differed from {table.reference}, "
        f"{by_chance:.2g} of them would exclude 0 by chance, on average: a small difference that is shown is a hint, "
        "not a proof."
    )
    return [text]
