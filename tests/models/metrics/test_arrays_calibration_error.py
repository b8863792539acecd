"""The expected calibration error, by hand and by a loop over the bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.arrays import expected_calibration_error

SCORES = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.55, 0.45], [1.0, 0.0]])
CATEGORY = np.array([0, 1, 1, 0, -1])


def test_four_clips_by_hand() -> None:
    # Bins of a half: all four lie above, 3 of 4 right, mean probability 0.75.
    assert expected_calibration_error(SCORES, CATEGORY, 2) == pytest.approx(0.0)
    # Bins of a tenth: 0.9 (0.8 to 0.9] right; 0.95 (0.9 to 1] wrong; 0.6 and 0.55 (0.5 to 0.6] both right.
    expected = (0.1 + 0.95 + 2 * (1 - 0.575)) / 4
    assert expected_calibration_error(SCORES, CATEGORY, 10) == pytest.approx(expected)


def test_sure_and_right_is_no_error_and_sure_and_wrong_is_the_whole() -> None:
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0.0
    assert expected_calibration_error(np.eye(3), np.array([1, 2, 0])) == 1.0


def test_without_known_clips_there_is_none() -> None:
    assert expected_calibration_error(SCORES, np.full(5, -1)) is None
    assert expected_calibration_error(np.zeros((2, 0)), np.array([0, 0])) is None


@given(st.integers(0, 10**6), st.integers(1, 50))
def test_it_is_the_papers_sum_over_bins(seed: int, num_clips: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.dirichlet(np.ones(3), num_clips)
    category = generator.integers(0, 3, num_clips)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == category
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(scores, category) == pytest.approx(expected, abs=1e-12)
