"""Sections of the report about clips: confusion matrix, worst errors, failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.rendering.html_page import picture_card, section, table
from models.rendering.markup import Html, element
from models.rendering.plots import count_matrix

if TYPE_CHECKING:
    from models.report.data import ReportData, WorstError

MAX_CONFUSED_CLASSES = 40
MAX_FAILURES = 200


def confusion_section(data: ReportData) -> Html:
    """Return the confusion matrix; of many categories, the ones with the most clips."""
    matrix = np.array(data.model["confusion"], dtype=np.int64)
    if not matrix.size:
        return Html()
    counts = matrix.sum(axis=1)
    shown = np.sort(np.argsort(-counts, kind="stable")[:MAX_CONFUSED_CLASSES])
    total = len(matrix)
    note = "Rows are the true categories, columns the predicted ones; the shade of a cell is its fraction of the row."
    if len(shown) < total:
        note += f" The {len(shown)} categories with the most clips of {total}."
    names = [data.category_names[index] for index in shown]
    matrix = matrix[np.ix_(shown, shown)]
    picture = count_matrix("Confusion matrix", matrix.tolist(), (names, names), matrix.sum(axis=1).tolist(), " → ")
    return section("Confusion matrix", element("div", picture, class_="wide"), note=note)


def worst_errors_section(data: ReportData) -> Html:
    """Return the pictures of the worst errors, in the order given."""
    if not data.worst_errors:
        return Html()
    figures = [_card(error) for error in data.worst_errors]
    return section(
        "Worst errors",
        element("div", *figures, class_="errors"),
        note="Wrong predictions of the highest probability.",
    )


def failures_section(data: ReportData) -> Html:
    """Return the failed and partial clips, at most ``MAX_FAILURES``, and their total number."""
    if not data.num_failures:
        return section("Failures", element("p", "No clip failed or is partial."))
    shown = data.failures[:MAX_FAILURES]
    rows = [(clip.clip_id, clip.stage, clip.code, clip.detail) for clip in shown]
    note = f"{data.num_failures:,} in all, failed or partial."
    if len(shown) < data.num_failures:
        note += f" The first {len(shown):,} are listed; the outcomes of each stage list all."
    return section("Failures", table(("Clip", "Stage", "Code", "Detail"), rows, ids=(0,), long=(3,)), note=note)


def _card(error: WorstError) -> Html:
    true = element("div", "true: ", element("b", error.true))
    predicted = element("div", "predicted: ", element("b", error.predicted), f" ({error.probability:.0%})")
    return picture_card(error.clip_id, error.title, error.picture, f"A frame of {error.clip_id}", true, predicted)
