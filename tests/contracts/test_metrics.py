"""One suite for every metric of the table: what must not change it, its bounds, and scikit-learn's counterpart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from models.metrics import METRICS
from models.metrics.head_scores import HeadScores
from models.metrics.metric import HEAD_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from models.metrics.metric import Head, Metric

MAX_CLASSES = 6  # fewer than 20, so that every score enters GAP@20
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.run_name)
quickly = settings(max_examples=25, deadline=None)


@st.composite
def heads(draw: st.DrawFn, head: Head) -> HeadScores:
    """One head of 1-10 clips and 1-6 classes whose scores, on a grid of six values, have many ties."""
    num_clips, num_classes = draw(st.integers(1, 10)), draw(st.integers(1, MAX_CLASSES))
    scores = draw(hnp.arrays(np.int64, (num_clips, num_classes), elements=st.integers(0, 5))) / 5
    if head == "category":
        classes = st.integers(0, num_classes - 1)
        return HeadScores.of_category(scores, draw(hnp.arrays(np.int64, num_clips, elements=classes)))
    return HeadScores.of_tags(scores, draw(hnp.arrays(np.bool_, scores.shape)), 0.5)


def value_of(metric: Metric, found: HeadScores) -> float:
    return found.value_of(metric)


def taken(found: HeadScores, rows: list[int] | slice, columns: list[int] | slice = slice(None)) -> HeadScores:
    """Some clips and classes of a head, with the decisions that they had."""
    return HeadScores(found.scores[rows][:, columns], found.labels[rows][:, columns], found.decisions[rows][:, columns])


@every_metric
@quickly
@given(data=st.data(), random=st.randoms(use_true_random=False))
def test_neither_the_order_of_clips_nor_that_of_classes_matters(
    metric: Metric, data: st.DataObject, random: Random
) -> None:
    found = data.draw(heads(metric.head))
    rows, columns = (random.sample(range(size), size) for size in found.scores.shape)
    value = value_of(metric, found)
    assert value_of(metric, taken(found, rows)) == pytest.approx(value)
    assert value_of(metric, taken(found, slice(None), columns)) == pytest.approx(value)


@every_metric
@quickly
@given(data=st.data())
def test_only_the_order_of_scores_matters(metric: Metric, data: st.DataObject) -> None:
    found = data.draw(heads(metric.head))
    grown = replace(found, scores=np.exp(3 * found.scores) - 7)  # strictly increasing; ties stay ties
    assert value_of(metric, grown) == pytest.approx(value_of(metric, found))


@every_metric
@quickly
@given(data=st.data(), copies=st.integers(2, 3))
def test_every_clip_several_times_is_the_same_corpus(metric: Metric, data: st.DataObject, copies: int) -> None:
    found = data.draw(heads(metric.head))
    rows = list(range(len(found.scores))) * copies
    assert value_of(metric, taken(found, rows)) == pytest.approx(value_of(metric, found))


@every_metric
@quickly
@given(data=st.data())
def test_it_runs_from_0_to_1(metric: Metric, data: st.DataObject) -> None:
    found = data.draw(heads(metric.head))
    assert 0 <= value_of(metric, found) <= 1
    # Right decisions and scores; all classes occur.
    right = np.concatenate([found.labels, np.eye(found.labels.shape[1], dtype=bool)])
    assert value_of(metric, HeadScores(right.astype(float), right, right)) == pytest.approx(1)


@every_metric
def test_without_a_positive_or_a_clip_it_is_0(metric: Metric) -> None:
    nothing = np.zeros((3, 4), bool)
    assert value_of(metric, HeadScores(np.zeros((3, 4)), nothing, nothing)) == 0
    assert value_of(metric, HeadScores(np.zeros((0, 4)), nothing[:0], nothing[:0])) == 0


@every_metric
@quickly
@given(data=st.data())
def test_averages_over_all_classes_alone_count_one_that_neither_occurs_nor_is_predicted(
    metric: Metric, data: st.DataObject
) -> None:
    found = data.draw(heads(metric.head))
    nothing = np.zeros((len(found.scores), 1), bool)
    # Below all other scores, so that no clip with a label is ranked behind it.
    lowest = np.full(nothing.shape, found.scores.min() - 1)
    wider = HeadScores(
        np.hstack([found.scores, lowest]), np.hstack([found.labels, nothing]), np.hstack([found.decisions, nothing])
    )
    is_diluted = metric.key.endswith("_all_tags")
    num_classes = found.scores.shape[1]
    expected = value_of(metric, found) * (num_classes / (num_classes + 1) if is_diluted else 1)
    assert value_of(metric, wider) == pytest.approx(expected)


def _averaged(name: str, average: str, *, only_occurring: bool = False) -> Callable[[HeadScores], float]:
    def counterpart(found: HeadScores) -> float:
        columns = np.arange(found.labels.shape[1])
        labels = columns[(found.labels | found.decisions).any(axis=0)] if only_occurring else columns
        if not len(labels):
            return 0.0
        # A class that is always absent keeps scikit-learn from reading one column as a binary problem.
        true, predicted = (np.hstack([part, np.zeros_like(part[:, :1])]) for part in (found.labels, found.decisions))
        score = getattr(sk, f"{name}_score")
        return float(score(true, predicted, average=average, labels=labels, zero_division=0))

    return counterpart


def _mean_ap(found: HeadScores) -> float:
    columns = np.flatnonzero(found.labels.any(axis=0))
    if not len(columns):
        return 0.0
    return float(np.mean([sk.average_precision_score(found.labels[:, c], found.scores[:, c]) for c in columns]))


def _pooled_ap(found: HeadScores) -> float:
    if not found.labels.any():
        return 0.0
    return float(sk.average_precision_score(found.labels.ravel(), found.scores.ravel()))


def _accuracy(found: HeadScores) -> float:
    return float(sk.accuracy_score(found.labels.argmax(axis=1), found.decisions.argmax(axis=1)))


COUNTERPARTS: dict[tuple[str, str], Callable[[HeadScores], float]] = {("category", "accuracy"): _accuracy}
for _name in ("precision", "recall", "f1"):
    COUNTERPARTS["category", f"macro_{_name}"] = _averaged(_name, "macro", only_occurring=True)
    COUNTERPARTS["tags", f"micro_{_name}"] = _averaged(_name, "micro")
    COUNTERPARTS["tags", f"macro_{_name}_all_tags"] = _averaged(_name, "macro")
for _head in HEAD_NAMES:
    COUNTERPARTS[_head, "map"] = _mean_ap
    COUNTERPARTS[_head, "gap_at_20"] = _pooled_ap


@pytest.mark.parametrize(
    "metric", [metric for metric in METRICS if (metric.head, metric.key) in COUNTERPARTS], ids=lambda m: m.run_name
)
@quickly
@given(data=st.data())
def test_it_is_scikit_learns(metric: Metric, data: st.DataObject) -> None:
    found = data.draw(heads(metric.head))
    assert value_of(metric, found) == pytest.approx(COUNTERPARTS[metric.head, metric.key](found))


def test_every_counterpart_is_of_a_metric() -> None:
    assert set(COUNTERPARTS) <= {(metric.head, metric.key) for metric in METRICS}


def test_a_category_has_one_decision_and_the_first_of_equal_scores() -> None:
    scores: npt.NDArray[np.float64] = np.array([[0.2, 0.4, 0.4], [0.1, 0.0, 0.0]])
    found = HeadScores.of_category(scores, np.array([2, 0]))
    assert found.decisions.tolist() == [[False, True, False], [True, False, False]]
    assert found.labels.tolist() == [[False, False, True], [True, False, False]]


def test_a_tag_is_predicted_from_its_threshold_on() -> None:
    scores: npt.NDArray[np.float64] = np.array([[0.5, 0.5]])
    found = HeadScores.of_tags(scores, np.ones((1, 2), bool), np.array([0.5, 0.6]))
    assert found.decisions.tolist() == [[True, False]]
