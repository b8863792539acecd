"""An ablation as a Markdown page."""

from collections.abc import Sequence

from models.ablation.formatting import NOTHING, difference_text, scored_text, seeds_text
from models.ablation.runs import metric_label
from models.ablation.scoring import about_split
from models.ablation.sentences import failure_lines, sentences
from models.ablation.table import AblationTable, VariantSummary


def render_markdown(table: AblationTable) -> str:
    """The page: what helped in sentences, the headline differences, every score, and the runs that failed."""
    failures = failure_lines(table)
    parts = [
        "# Ablation",
        about(table),
        "## What helped",
        _bullets(sentences(table)),
        f"## Differences to {_plain(table.reference)}",
        _grid(["variant", "seeds", *map(metric_label, table.headlines)], _difference_rows(table), num_words=2),
        "## Scores",
        _grid(
            ["variant", "seeds", "parameters", "s per epoch", *map(metric_label, table.metrics)],
            [_score_row(table, variant) for variant in table.variants],
            num_words=2,
        ),
        *(["## Runs that failed", _bullets(failures)] if failures else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def about(table: AblationTable) -> str:
    """What the figures are, in a few sentences."""
    seeds = sorted({run.seed for run in table.runs})
    text = (
        f"{len(table.variants)} variants, {len(table.runs)} runs, seeds {', '.join(map(str, seeds))}. "
        "Scores are means over the seeds, with half of their 95 % interval (Student's t); higher is better. "
        f"Differences to {table.reference} are taken seed by seed, with the 95 % interval of their mean: a "
        "variant helped, or harmed, where that interval excludes 0."
    )
    return " ".join(filter(None, (text, about_split(table.split))))


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


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]], *, num_words: int) -> str:
    """A Markdown table whose first `num_words` columns are aligned left, the others right."""
    rule = ["---"] * num_words + ["---:"] * (len(headers) - num_words)
    lines = [headers, rule, *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"* {_plain(line)}" for line in lines)


def _plain(text: str) -> str:
    """The text in one line, with what Markdown would take for markup escaped."""
    escaped = text.replace("\\", "\\\\")
    for mark in "|*_`<[":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.split())
