"""Sections of the report about scores: model and baselines, in total and class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.calibration.schema import TAG_THRESHOLD
from models.metrics import METRICS
from models.metrics.metric import HEAD_NAMES
from models.rendering.html_page import NOTHING, bar_row, difference, legend, score_text, section, table, tile
from models.rendering.markup import Html, element

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.evaluation.evaluate import ClassRow, Evaluation
    from models.metrics.metric import Head, Metric
    from models.report.data import ReportData

HEAD_TITLES: Mapping[Head, str] = {"category": "Category", "tags": "Tags"}
MAX_OPEN_ROWS = 40  # further classes are collapsed


def headline(data: ReportData) -> Html:
    """Return one tile a headline metric, with the difference to the best baseline."""
    tiles = []
    for metric in METRICS:
        value = _score(data.model, metric)
        if value is None or not metric.is_headline:
            continue
        best = _best_baseline(data, metric)
        comparison = () if best is None else (difference(value - best[1]), f" against {best[0]}")
        tiles.append(tile(_capitalised(metric.title), score_text(value), *comparison))
    return element("div", *tiles, class_="tiles")


def scores_section(data: ReportData) -> Html:
    """Return the table of all metrics, one column a system, the best of each row in bold."""
    systems = {data.model_name: data.model, **data.baselines}
    rows = []
    for head in HEAD_NAMES:
        if data.model[head] is None:
            continue
        heading = f"{HEAD_TITLES[head]}, {data.model['num_evaluated'][head]:,} clips"
        rows.append(element("tr", element("td", heading, colspan=len(systems) + 2), class_="group"))
        rows.extend(
            _score_row(data, metric, [_score(system, metric) for system in systems.values()])
            for metric in METRICS
            if metric.head == head
        )
    if not rows:
        return section("Scores", element("p", "No clip of this split has a known category or known tags."))
    headers = ["", *systems, "against the best baseline"]
    return section(
        "Scores",
        table(headers, rows, numbers=range(1, len(headers))),
        note="All scores run from 0 to 1, higher is better; the best of each row is bold. Clips of unknown "
        f"category or unknown tags are left out. {_threshold_note(data)}",
    )


def per_class_section(data: ReportData, head: Head, heading: str) -> Html:
    """Return the average precision of each class as a bar with its chance level; nothing for an unscored head."""
    classes = data.model["per_class"][head]
    if not classes:
        return Html()
    rival = _best_baseline(data, next(item for item in METRICS if (item.head, item.key) == (head, "map")))
    marks = [
        ("", f"average precision of {data.model_name}"),
        ("chance", "chance: the fraction of clips with this class"),
    ]
    others: dict[str, ClassRow] = {}
    if rival is not None:
        marks.append(("other", f"average precision of {rival[0]}"))
        others = {row["name"]: row for row in data.baselines[rival[0]]["per_class"][head]}
    rows = [_class_row(row, others.get(row["name"])) for row in sorted(classes, key=_by_precision)]
    parts = [_bars(rows[:MAX_OPEN_ROWS])]
    if len(rows) > MAX_OPEN_ROWS:
        summary = element("summary", f"{len(rows) - MAX_OPEN_ROWS:,} more classes")
        parts.append(element("details", summary, _bars(rows[MAX_OPEN_ROWS:])))
    return section(heading, legend(marks), *parts)


def _threshold_note(data: ReportData) -> str:
    """Return an explanation of the threshold of the tags."""
    thresholds = {row["threshold"] for row in data.model["per_class"]["tags"]}
    if thresholds <= {TAG_THRESHOLD}:
        return f"A tag counts as predicted from a probability of {TAG_THRESHOLD} on."
    return (
        "A tag counts as predicted from its own threshold on: the threshold of the highest F1 on the validation clips, "
        "chosen by the same rule for the network and for the baselines."
    )


def _by_precision(row: ClassRow) -> tuple[float, int]:
    """Sort the best first, classes without a positive last, and of equals the more frequent one first."""
    precision = row["average_precision"]
    return (1.0 if precision is None else -precision, -row["num_positives"])


def _bars(rows: Sequence[Html]) -> Html:
    return table(("Class", "Clips", "", "AP", "above chance"), rows, numbers=(1, 3, 4), class_="bars")


def _score_row(data: ReportData, metric: Metric, values: Sequence[float | None]) -> Html:
    known = [value for value in values if value is not None]
    best = max(known) if known else None
    # Compared as text, so that equal numbers on the page are marked alike.
    cells = [
        element("td", text, class_="number best" if text == score_text(best) else "number")
        for text in map(score_text, values)
    ]
    rival = _best_baseline(data, metric)
    gain = NOTHING if rival is None or values[0] is None else difference(values[0] - rival[1])
    return element("tr", element("td", _capitalised(metric.label)), *cells, element("td", gain, class_="number"))


def _class_row(row: ClassRow, other: ClassRow | None) -> Html:
    precision, chance = row["average_precision"], row["chance"]
    marks = []
    if precision is not None:
        marks.append(element("i", class_="fill", style=f"width:{precision:.1%}"))
        marks.append(element("i", class_="chance", style=f"left:{chance:.1%}"))
    if other is not None and other["average_precision"] is not None:
        marks.append(element("i", class_="other", style=f"left:{other['average_precision']:.1%}"))
    gain = NOTHING if precision is None else difference(precision - chance)
    return bar_row(row["name"], f"{row['num_positives']:,}", marks, (score_text(precision), gain))


def _score(evaluation: Evaluation, metric: Metric) -> float | None:
    block = evaluation[metric.head]
    return None if block is None else block[metric.key]


def _best_baseline(data: ReportData, metric: Metric) -> tuple[str, float] | None:
    """Return name and score of the baseline with the highest score; None where no baseline has one."""
    scores = {name: _score(evaluation, metric) for name, evaluation in data.baselines.items()}
    known = [(name, score) for name, score in scores.items() if score is not None]
    return max(known, key=lambda pair: pair[1], default=None)


def _capitalised(name: str) -> str:
    """Return a name with a capital first letter; abbreviations such as mAP stay as they are."""
    return name if name[1].isupper() else name[0].upper() + name[1:]
