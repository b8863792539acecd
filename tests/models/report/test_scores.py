"""The report says from which probability on a tag counts as predicted."""

import numpy as np
import pytest

from models.report.data import ReportData
from models.report.scores import scores_section
from tests.models.evaluation.scored import evaluate_arrays

SHARED = "A tag counts as predicted from a probability of 0.5 on."
OWN = "A tag counts as predicted from its own threshold on"


@pytest.fixture
def data() -> ReportData:
    found = evaluate_arrays(
        None,
        np.full(4, -1),
        np.array([[0.9, 0.1], [0.4, 0.1], [0.3, 0.1], [0.2, 0.1]]),
        np.array([[1, 0], [1, 0], [0, 0], [0, 0]], bool),
        np.ones(4, bool),
        category_names=(),
        tag_names=("pan", "fade"),
        tag_thresholds=np.array([0.35, 0.5]),
    )
    return ReportData(
        title="",
        corpus="",
        split="test",
        split_sizes={},
        model_name="network",
        model=found,
        baselines={},
        category_names=(),
        history=(),
        stages=(),
        failures=(),
        num_failures=0,
        worst_errors=(),
        settings={},
        provenance={},
    )


def test_thresholds_of_their_own_are_told_and_counted_by(data: ReportData) -> None:
    page = str(scores_section(data))
    assert OWN in page
    assert SHARED not in page
    # Both clips of pan are given it, and nobody fade: 1 and 0.
    assert page.count("<td>Macro recall of all tags</td>") == 1
    assert '<td>Macro recall of all tags</td><td class="number best">0.500</td>' in page
    assert '<td>Micro recall</td><td class="number best">1.000</td>' in page


def test_one_half_for_all_is_told(data: ReportData) -> None:
    for row in data.model["per_class"]["tags"]:
        row["threshold"] = 0.5
    page = str(scores_section(data))
    assert SHARED in page
    assert OWN not in page
