"""The report's sections about single clips: what is confused with what, the worst errors, the failures."""

import base64

import numpy as np

from models.rendering.markup import Html, element
from models.rendering.svg_plots import heat_map
from models.report.data import ReportData, WorstError
from models.report.parts import row, section, table

MAX_CONFUSED_CLASSES = 40
MAX_FAILURES = 200
_MEDIA_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


def confusion_section(data: ReportData) -> Html:
    """Return the confusion matrix; of many categories, the ones with the most clips."""
    matrix = np.array(data.model["confusion"], dtype=np.int64)
    if not matrix.size:
        return Html()
    counts = matrix.sum(axis=1)
    shown = np.sort(np.argsort(-counts, kind="stable")[:MAX_CONFUSED_CLASSES])
    note = "Rows are the true categories, columns the predicted ones; a cell's shade is its share of its row."
    if len(shown) < len(matrix):
        note += f" The {len(shown)} categories with the most clips of {len(matrix)}."
    picture = heat_map(matrix[np.ix_(shown, shown)].tolist(), [data.category_names[index] for index in shown])
    return section("What is taken for what", element("div", picture, class_="wide"), note=note)


def worst_errors_section(data: ReportData) -> Html:
    """Return the pictures of the worst errors, in the order given."""
    if not data.worst_errors:
        return Html()
    figures = [_figure(error) for error in data.worst_errors]
    return section(
        "The worst errors",
        element("div", *figures, class_="errors"),
        note="Clips whose prediction was wrong with the highest probability.",
    )


def failures_section(data: ReportData) -> Html:
    """Return the clips that failed, at most `MAX_FAILURES`, and how many there are in all."""
    if not data.num_failures:
        return section("Failures", element("p", "No clip failed, in whole or in part."))
    shown = data.failures[:MAX_FAILURES]
    rows = [row((clip.clip_id, clip.stage, clip.code, clip.detail), ids=(0,), long=(3,)) for clip in shown]
    note = f"{data.num_failures:,} in all, failed or partial."
    if len(shown) < data.num_failures:
        note += f" The first {len(shown):,} are listed; the outcomes of each stage hold every one."
    return section("Failures", table(("Clip", "Stage", "Code", "Detail"), rows), note=note)


def _figure(error: WorstError) -> Html:
    return element(
        "figure",
        _picture(error),
        element(
            "figcaption",
            element("div", error.title or "no title", class_="heading" if error.title else "soft"),
            element("div", error.clip_id, class_="id soft"),
            element("div", "is ", element("b", error.true)),
            element("div", "taken for ", element("b", error.predicted), f" ({error.probability:.0%})"),
        ),
    )


def _picture(error: WorstError) -> Html:
    content = error.picture or b""
    media_type = next((name for magic, name in _MEDIA_TYPES.items() if content.startswith(magic)), None)
    if media_type is None:
        return element("div", "no picture", class_="blank")
    encoded = base64.b64encode(content).decode("ascii")
    return element("img", src=f"data:{media_type};base64,{encoded}", alt=f"A frame of {error.clip_id}")
