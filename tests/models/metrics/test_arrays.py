"""The metrics against a hand count, against scikit-learn, and against what must not change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from features.base.errors import DataError
from models.metrics.arrays import (
    average_precision_per_class,
    confusion_matrix,
    global_average_precision,
    macro_f1,
    macro_precision_recall_f1,
    mean_average_precision,
    micro_precision_recall_f1,
)

if TYPE_CHECKING:
    from random import Random

Case = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores with many ties (a grid of 6 values) and labels, 1-12 clips of 1-6 classes."""
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 6)))
    steps = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 5)))
    return steps / 5, draw(hnp.arrays(np.bool_, shape))


def random_case(num_clips: int, num_classes: int, seed: int = 0) -> Case:
    generator = np.random.default_rng(seed)
    scores = generator.random((num_clips, num_classes)).round(2)
    return scores, generator.random((num_clips, num_classes)) < 0.3


def test_gap_by_hand() -> None:
    # Best two per clip: clip 0 gives 0.9 (hit) and 0.5 (miss); clip 1 gives 0.8 (miss) and 0.6 (hit).
    # Pooled: 0.9 hit, 0.8 miss, 0.6 hit, 0.5 miss. Positives in all: 3, one of them outside the pool.
    # GAP = (1/1 + 2/3) / 3 = 5/9.
    scores = np.array([[0.9, 0.5, 0.1], [0.3, 0.8, 0.6]])
    labels = np.array([[1, 0, 1], [0, 0, 1]])
    assert global_average_precision(scores, labels, top_k=2) == pytest.approx(5 / 9)


def test_equal_scores_share_the_places_left_in_the_top_k() -> None:
    # Two places: 0.9 takes one, the two 0.5 share the other, half a place each.
    # Threshold 0.9: miss. Threshold 0.5: half a hit among 2 places, precision 1/4. One positive: 0.5 * 1/4.
    scores, labels = np.array([[0.9, 0.5, 0.5]]), np.array([[0, 1, 0]])
    assert global_average_precision(scores, labels, top_k=2) == pytest.approx(0.5 * 0.25)
    assert global_average_precision(scores, np.array([[0, 0, 1]]), top_k=2) == pytest.approx(0.125)


def test_more_labels_than_top_k_keeps_gap_below_one() -> None:
    assert global_average_precision([[0.9, 0.8, 0.7]], [[1, 1, 1]], top_k=2) == pytest.approx(2 / 3)


@given(cases())
def test_gap_with_room_for_every_class_is_sklearns_micro_average(case: Case) -> None:
    scores, labels = case
    expected = sk.average_precision_score(labels.ravel(), scores.ravel()) if labels.any() else 0.0
    assert global_average_precision(scores, labels) == pytest.approx(expected)


@given(cases(), st.integers(1, 5))
def test_gap_at_k_is_sklearns_average_precision_of_the_kept_predictions(case: Case, top_k: int) -> None:
    scores, labels = case
    distinct = scores + np.arange(scores.shape[1]) * 1e-3  # so that no tie crosses a clip's border
    kept = (-distinct).argsort(axis=1).argsort(axis=1) < top_k
    found = labels[kept].sum()
    expected = 0.0
    if found:
        expected = sk.average_precision_score(labels[kept], distinct[kept]) * found / labels.sum()
    assert global_average_precision(distinct, labels, top_k) == pytest.approx(expected)


@given(cases())
def test_average_precision_is_sklearns(case: Case) -> None:
    scores, labels = case
    per_class = average_precision_per_class(scores, labels)
    expected = [
        sk.average_precision_score(labels[:, index], scores[:, index]) if labels[:, index].any() else np.nan
        for index in range(labels.shape[1])
    ]
    np.testing.assert_allclose(per_class, expected, rtol=1e-12)
    assert mean_average_precision(scores, labels) == pytest.approx(np.nanmean(expected) if labels.any() else 0.0)


@given(cases(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_neither_order_nor_scale_matters(case: Case, top_k: int, random: Random) -> None:
    scores, labels = case
    rows = random.sample(range(len(scores)), len(scores))
    columns = random.sample(range(scores.shape[1]), scores.shape[1])
    grown = np.exp(3 * scores) - 7  # strictly increasing
    for other_scores, other_labels in (
        (scores[rows], labels[rows]),
        (scores[:, columns], labels[:, columns]),
        (grown, labels),
    ):
        assert global_average_precision(other_scores, other_labels, top_k) == pytest.approx(
            global_average_precision(scores, labels, top_k)
        )
        assert mean_average_precision(other_scores, other_labels) == pytest.approx(
            mean_average_precision(scores, labels)
        )


def test_a_constant_score_reaches_the_prevalence_and_a_perfect_one_reaches_one() -> None:
    labels = np.array([[1], [0], [0], [0]])
    assert mean_average_precision(np.full((4, 1), 0.7), labels) == 0.25
    assert mean_average_precision(labels.astype(float), labels) == 1.0
    assert mean_average_precision(-labels.astype(float), labels) == 0.25


def test_no_positive_is_zero_and_nan_per_class() -> None:
    scores, labels = np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[0, 1], [0, 0]])
    assert np.isnan(average_precision_per_class(scores, labels)[0])
    assert mean_average_precision(scores, np.zeros((2, 2))) == 0.0
    assert global_average_precision(scores, np.zeros((2, 2))) == 0.0
    assert mean_average_precision(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    assert global_average_precision(np.zeros((0, 30)), np.zeros((0, 30))) == 0.0
    assert macro_precision_recall_f1(np.zeros((3, 0)), np.zeros((3, 0))) == (0.0, 0.0, 0.0)


@given(cases())
def test_decisions_are_sklearns(case: Case) -> None:
    scores, labels = case
    for average, function in (("micro", micro_precision_recall_f1), ("macro", macro_precision_recall_f1)):
        # scikit-learn reads a single column as a binary problem, whose one class both averages equal
        expected = (
            sk.precision_recall_fscore_support(labels, scores >= 0.6, average=average, zero_division=0)[:3]
            if labels.shape[1] > 1
            else sk.precision_recall_fscore_support(
                labels[:, 0], scores[:, 0] >= 0.6, average="binary", zero_division=0
            )[:3]
        )
        np.testing.assert_allclose(function(scores, labels, threshold=0.6), expected, atol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_category_metrics_are_sklearns(pairs: list[tuple[int, int]]) -> None:
    true, predicted = np.array(pairs).T
    expected = sk.confusion_matrix(true, predicted, labels=range(4))
    np.testing.assert_array_equal(confusion_matrix(true, predicted, 4), expected)
    assert macro_f1(true, predicted, 4) == pytest.approx(sk.f1_score(true, predicted, average="macro", zero_division=0))


def test_category_metrics_of_no_clips() -> None:
    assert macro_f1([], [], 3) == 0.0
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


def test_half_precision_scores_are_ranked_as_they_stand() -> None:
    scores, labels = random_case(50, 4)
    half = scores.astype(np.float16)
    assert mean_average_precision(half, labels) == mean_average_precision(half.astype(np.float64), labels)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), r"scores have shape \(2, 3\), labels \(3, 2\)"),
        (np.zeros(3), np.zeros(3), "one row per clip"),
        (np.array([[0.0, np.nan]]), np.zeros((1, 2)), "score of clip 0, class 1 is nan"),
        (np.zeros((1, 2)), np.array([[0, 2]]), "other than 0 and 1"),
    ],
)
def test_unusable_arrays_are_refused(
    scores: npt.NDArray[np.float64], labels: npt.NDArray[np.float64], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        mean_average_precision(scores, labels)
    with pytest.raises(DataError, match=message):
        global_average_precision(scores, labels)


def test_unusable_classes_and_top_k_are_refused() -> None:
    with pytest.raises(DataError, match=r"run from -1 to 1: they must lie in 0\.\.2"):
        macro_f1([-1, 1], [0, 1], 3)
    with pytest.raises(DataError, match="2 true classes for 1 predicted"):
        confusion_matrix([0, 1], [0], 3)
    with pytest.raises(DataError, match="whole number"):
        macro_f1([0.5], [0.0], 3)
    with pytest.raises(DataError, match="top_k is 0"):
        global_average_precision([[0.1]], [[1]], top_k=0)
