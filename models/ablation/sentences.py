"""An ablation in plain sentences: what helped, what did not, and how far that can be trusted."""

from models.ablation.formatting import interval_text, pairs_text, seeds_text, signed_text
from models.ablation.intervals import CONFIDENCE, Estimate
from models.ablation.runs import metric_label
from models.ablation.significance import Verdict
from models.ablation.table import AblationTable, VariantSummary


def sentences(table: AblationTable) -> list[str]:
    """What the headline metrics show: what helped, what harmed, what showed nothing, and a word of caution."""
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
    """The runs that gave no score, and why: a line for each variant and reason."""
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
    """One sentence for each headline difference that helped, or harmed."""
    return [
        f"{variant.name}: {metric_label(metric)} {signed_text(difference.mean)} "
        f"(95 % interval {interval_text(difference)}, {pairs_text(difference)}) against {table.reference}: "
        f"{kind.value}."
        for variant in variants
        for metric, difference in _differences(table, variant, kind)
    ]


def _not_shown(table: AblationTable, variant: VariantSummary) -> list[str]:
    parts = [
        f"{metric_label(metric)} ({signed_text(difference.mean)}, {interval_text(difference)})"
        for metric, difference in _differences(table, variant, Verdict.NOT_SHOWN)
    ]
    return [f"{variant.name}: {Verdict.NOT_SHOWN.value} in {', '.join(parts)}."] if parts else []


def _undecided(table: AblationTable, variant: VariantSummary) -> list[str]:
    """One sentence about the metrics in which too little was measured to say anything."""
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
    """Headline metric and difference of one kind, in the table's order."""
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
    """How many differences would be shown by chance alone."""
    number = table.num_comparisons
    if not number:
        return []
    by_chance = number * (1 - CONFIDENCE)
    text = (
        f"Differences with an interval of 95 %: {number}. Were no variant different from {table.reference} at all, "
        f"{by_chance:.2g} of them would still exclude 0 by chance, on average: a small difference that is shown is "
        "a hint, not a proof."
    )
    return [text]
