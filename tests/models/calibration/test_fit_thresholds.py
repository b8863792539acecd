"""The threshold of the highest F1, against scikit-learn over every threshold that decides differently."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from models.calibration.fit import best_threshold, fit_thresholds

BoolArray = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating]


def f1_at(scores: Scores, labels: BoolArray, threshold: float) -> float:
    return float(f1_score(labels, scores >= threshold, zero_division=0))


def best_f1(scores: Scores, labels: BoolArray) -> float:
    """The highest F1 of all thresholds, each score among them."""
    return max(f1_at(scores, labels, threshold) for threshold in (*scores, 0.5))


def test_the_border_lies_midway_between_two_scores() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    # Given from 0.3 on: 3 hits of 3 and 3 positives; 0.25 is midway to 0.2.
    assert best_threshold(scores, np.array([0, 0, 1, 1, 1], bool)) == pytest.approx(0.25)
    # All of them: 5 given, 3 hits, F1 6/8; the last border is midway to 0.
    assert best_threshold(scores, np.array([1, 0, 1, 0, 1], bool)) == pytest.approx(0.05)


def test_of_equal_f1_the_border_nearest_to_one_half_is_taken() -> None:
    # 0.8 alone: 2 / (1 + 2); all four: 4 / (4 + 2), equal; their borders are 0.7 and 0.05.
    scores, labels = np.array([0.1, 0.3, 0.6, 0.8]), np.array([1, 0, 0, 1], bool)
    assert f1_at(scores, labels, 0.7) == f1_at(scores, labels, 0.05) == best_f1(scores, labels)
    assert best_threshold(scores, labels) == pytest.approx(0.7)


def test_clips_of_equal_score_are_not_parted() -> None:
    scores, labels = np.array([0.6, 0.6, 0.6, 0.2]), np.array([1, 0, 0, 1], bool)
    assert best_threshold(scores, labels) == pytest.approx(0.1)


@pytest.mark.parametrize("low", [0.3, np.nextafter(0.3, 1)])
def test_neighbouring_numbers_are_still_parted(low: float) -> None:
    # What lies midway is rounded up from one of the two, and down from the other.
    high = np.nextafter(low, 1)
    threshold = best_threshold(np.array([low, high]), np.array([False, True]))
    assert low < threshold <= high


tag_columns = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40).filter(
    lambda rows: any(label for _, label in rows)
)


@settings(deadline=None, max_examples=100)
@given(tag_columns)
def test_no_threshold_has_a_higher_f1(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score / 20 for score, _ in rows], np.float32)
    labels = np.array([label for _, label in rows])
    found = f1_at(scores, labels, best_threshold(scores, labels))
    assert found == best_f1(scores, labels)
    assert found >= f1_at(scores, labels, 0.5)


def test_a_rare_tag_shares_the_threshold_of_the_highest_micro_f1() -> None:
    generator = np.random.default_rng(0)
    tags = np.column_stack([np.arange(60) < 20, np.arange(60) < 4])
    scores = (0.2 + 0.2 * tags + 0.1 * generator.random((60, 2))).astype(np.float32)
    scores[:, 1] += 0.3
    thresholds, notes = fit_thresholds(scores, tags)
    assert notes == ("1 of 2 tags have fewer than 5 validation clips and share a threshold",)
    assert f1_at(scores[:, 0], tags[:, 0], float(thresholds[0])) == 1.0
    assert thresholds[1] == best_threshold(scores.ravel(), tags.ravel())
    pooled = f1_at(scores.ravel(), tags.ravel(), float(thresholds[1]))
    assert pooled == best_f1(scores.ravel(), tags.ravel())
    own, notes = fit_thresholds(scores, tags, min_positives=4)
    assert notes == ()
    assert f1_at(scores[:, 1], tags[:, 1], float(own[1])) == 1.0


def test_with_too_few_positives_in_all_every_threshold_is_one_half() -> None:
    tags = np.zeros((30, 3), bool)
    tags[:2, 0] = tags[:2, 1] = True
    thresholds, notes = fit_thresholds(np.full((30, 3), 0.1), tags)
    assert thresholds.tolist() == [0.5, 0.5, 0.5]
    assert notes == ("4 tags are known on validation clips, thresholds need 5",)
    assert fit_thresholds(np.zeros((0, 2)), np.zeros((0, 2), bool))[0].tolist() == [0.5, 0.5]
    assert fit_thresholds(np.zeros((9, 0)), np.zeros((9, 0), bool))[1] == ()
