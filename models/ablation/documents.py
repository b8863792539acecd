"""An ablation as a Markdown page, and as JSON from which it can be summarised again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from features.base.errors import DataError
from models.ablation.runs import AblationRun, FailedRun, about_split, current_metrics, current_name, metric_label
from models.ablation.table import AblationTable, VariantSummary, summarise
from models.ablation.text import NOTHING, difference_text, failure_lines, findings, scored_text, seeds_text

if TYPE_CHECKING:
    from collections.abc import Sequence


def table_to_markdown(table: AblationTable) -> str:
    """Return the page: the findings, the headline differences, every score, and the runs that failed."""
    failures = failure_lines(table)
    parts = [
        "# Ablation",
        about(table),
        "## What helped",
        _bullets(findings(table)),
        f"## Differences to {_plain(table.reference)}",
        _grid(["variant", "seeds", *map(metric_label, table.headlines)], _difference_rows(table), num_texts=2),
        "## Scores",
        _grid(
            ["variant", "seeds", "parameters", "s per epoch", *map(metric_label, table.metrics)],
            [_score_row(table, variant) for variant in table.variants],
            num_texts=2,
        ),
        *(["## Runs that failed", _bullets(failures)] if failures else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def about(table: AblationTable) -> str:
    """Return what the figures are, in a few sentences."""
    seeds = sorted({run.seed for run in table.runs})
    text = (
        f"{len(table.variants)} variants, {len(table.runs)} runs, seeds {', '.join(map(str, seeds))}. "
        "Scores are means over the seeds, with half of their 95 % interval (Student's t); higher is better. "
        f"Differences to {table.reference} are taken seed by seed, with the 95 % interval of their mean: a "
        "variant helped, or harmed, where that interval excludes 0."
    )
    return " ".join(filter(None, (text, about_split(table.split))))


def table_to_json(table: AblationTable) -> str:
    """Return the table, its findings and its runs as one JSON object."""
    document = {**asdict(table), "num_comparisons": table.num_comparisons, "sentences": findings(table)}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def table_from_json(text: str) -> AblationTable:
    """Return the table that :func:`table_to_json` wrote, summarised again from its runs.

    Raises:
        DataError: The text is no such document.
    """
    try:
        document = json.loads(text)
        runs = [AblationRun(**{**run, "metrics": current_metrics(run["metrics"])}) for run in document["runs"]]
        failures = [FailedRun(**run) for run in document["failures"]]
        reference, split = str(document["reference"]), str(document["split"])
        headlines = [current_name(str(name)) for name in document["headlines"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the text is no ablation ({error}): give one that table_to_json wrote") from error
    return summarise(runs, reference, headlines=headlines, split=split, failures=failures)


def _difference_rows(table: AblationTable) -> list[list[str]]:
    rows = []
    for variant in table.variants:
        cells = [_difference_cell(variant, metric) for metric in table.headlines]
        rows.append([variant.name, seeds_text(variant), *cells])
    return rows


def _difference_cell(variant: VariantSummary, metric: str) -> str:
    summary = variant.metrics[metric]
    if summary.verdict is None or summary.difference is None:
        return NOTHING
    return f"{difference_text(summary)}, {summary.verdict.value}"


def _score_row(table: AblationTable, variant: VariantSummary) -> list[str]:
    num_seeds = len(variant.seeds)
    return [
        variant.name,
        seeds_text(variant),
        f"{variant.num_parameters:,}",
        f"{variant.seconds_per_epoch:.2f}",
        *(scored_text(variant.metrics[metric].value, num_seeds) for metric in table.metrics),
    ]


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]], *, num_texts: int) -> str:
    """Return a Markdown table whose first ``num_texts`` columns are aligned left, the others right."""
    rule = ["---"] * num_texts + ["---:"] * (len(headers) - num_texts)
    lines = [headers, rule, *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"* {_plain(line)}" for line in lines)


def _plain(text: str) -> str:
    """Return the text in one line, with the characters of Markdown's markup escaped."""
    escaped = text.replace("\\", "\\\\")
    for mark in "|*_`<[":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.split())
