"""Section of the report about an ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.ablation.documents import about
from models.ablation.runs import metric_label
from models.ablation.significance import Verdict
from models.ablation.text import NOTHING, difference_text, failure_lines, findings, scored_text, seeds_text
from models.rendering.html_page import section, table
from models.rendering.markup import Html, element

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.ablation.table import AblationTable, MetricSummary, VariantSummary

_COLOURS = {Verdict.HELPED: "up", Verdict.HARMED: "down"}


def ablation_section(found: AblationTable | None) -> Html:
    """Return findings, headline differences, scores and failed runs of an ablation; nothing without one."""
    if found is None:
        return Html()
    failures = failure_lines(found)
    return section(
        "Ablation",
        _bullets(findings(found)),
        element("h3", f"Differences to {found.reference}"),
        _differences(found),
        element("h3", "Scores"),
        _scores(found),
        *([element("h3", "Runs that failed"), _bullets(failures)] if failures else []),
        note=about(found),
    )


def _bullets(lines: Sequence[str]) -> Html:
    return element("ul", *(element("li", line) for line in lines))


def _differences(found: AblationTable) -> Html:
    headers = ["Variant", "Seeds", *map(metric_label, found.headlines)]
    rows = [
        [_name(found, variant), seeds_text(variant), *(_difference(variant.metrics[key]) for key in found.headlines)]
        for variant in found.variants
    ]
    return table(headers, rows, numbers=range(2, len(headers)))


def _difference(summary: MetricSummary) -> Html:
    """Return a difference with its interval above its verdict, coloured where one is shown."""
    if summary.verdict is None or summary.difference is None:
        return element("span", NOTHING)
    return element(
        "span",
        difference_text(summary),
        element("div", summary.verdict.value, class_=_COLOURS.get(summary.verdict, "soft")),
    )


def _scores(found: AblationTable) -> Html:
    headers = ["Variant", "Seeds", "Parameters", "s per epoch", *map(metric_label, found.metrics)]
    rows = [
        [
            _name(found, variant),
            seeds_text(variant),
            variant.num_parameters,
            f"{variant.seconds_per_epoch:.2f}",
            *(scored_text(variant.metrics[metric].value, len(variant.seeds)) for metric in found.metrics),
        ]
        for variant in found.variants
    ]
    return table(headers, rows, numbers=range(2, len(headers)))


def _name(found: AblationTable, variant: VariantSummary) -> str:
    return f"{variant.name} (reference)" if variant.name == found.reference else variant.name
