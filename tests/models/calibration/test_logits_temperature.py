"""One temperature a head: found where a fine grid finds it, and without influence on any order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score, log_loss

from models.calibration.fit import apply_calibration
from models.calibration.logits import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    MIN_CLIPS,
    category_logits,
    category_loss,
    fit_category_temperature,
    fit_tag_temperature,
    tag_logits,
    tag_loss,
)
from models.calibration.schema import Calibration

GRID = np.geomspace(LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE, 2001)


def drawn_categories(
    num_clips: int, seed: int, *, confidence: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Scores whose logits are ``confidence`` times too large, and categories drawn from the right probabilities."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (num_clips, 4))
    category = np.array([generator.choice(4, p=row) for row in softmax(logits, axis=1)], np.int64)
    return softmax(confidence * logits, axis=1).astype(np.float32), category


def test_losses_are_scikit_learns_log_loss() -> None:
    scores, category = drawn_categories(50, 0, confidence=1.0)
    assert category_loss(category_logits(scores), category) == pytest.approx(log_loss(category, scores), abs=1e-6)
    tags = np.random.default_rng(1).random(scores.shape) < 0.3
    expected = np.mean([log_loss(tags[:, i], scores[:, i].astype(float), labels=[False, True]) for i in range(4)])
    assert tag_loss(tag_logits(scores), tags) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("confidence", [0.5, 2.0, 4.0])
def test_the_planted_temperature_of_categories_is_found_again(confidence: float) -> None:
    scores, category = drawn_categories(4000, 2, confidence=confidence)
    temperature, why_none = fit_category_temperature(category_logits(scores), category)
    assert why_none == ""
    assert temperature == pytest.approx(confidence, rel=0.06)
    losses = [log_loss(category, softmax(np.log(scores.astype(float)) / value, axis=1)) for value in GRID[::20]]
    assert category_loss(category_logits(scores) / temperature, category) <= min(losses) + 1e-9


def test_the_planted_temperature_of_tags_is_found_again() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(-1, 2, (3000, 3))
    tags = generator.random(logits.shape) < expit(logits)
    scores = expit(2.5 * logits).astype(np.float32)
    temperature, why_none = fit_tag_temperature(tag_logits(scores), tags)
    assert why_none == ""
    assert temperature == pytest.approx(2.5, rel=0.06)


def test_few_clips_and_clips_that_are_all_right_or_all_chance_keep_temperature_one() -> None:
    scores, category = drawn_categories(MIN_CLIPS, 4, confidence=3.0)
    few = fit_category_temperature(category_logits(scores)[1:], category[1:])
    assert few == (1.0, "19 validation clips have a category, 20 are needed")
    perfect = np.full((40, 2), 0.2)
    perfect[:, 0] = 0.8
    first = np.zeros(40, np.int64)
    sure = fit_category_temperature(category_logits(perfect), first)
    assert sure == (1.0, "the labels become ever more likely up to a temperature of 0.1")
    wrong = fit_category_temperature(category_logits(perfect), first + 1)
    assert wrong == (1.0, "the labels become ever more likely up to a temperature of 10")
    half = fit_category_temperature(category_logits(np.full((40, 2), 0.5)), first)
    assert half == (1.0, "no other temperature makes the labels more likely")
    assert fit_tag_temperature(tag_logits(perfect[:19]), perfect[:19] > 0.5) == (
        1.0,
        "the tags of 19 validation clips are known, 20 are needed",
    )


def test_probabilities_of_zero_and_one_have_finite_logits_in_order() -> None:
    scores = np.array([[0.0, 1e-45, 1e-38, 0.5, 1 - 2.0**-24, 1.0]], np.float32)
    logits = tag_logits(scores)
    assert np.isfinite(logits).all()
    assert (np.diff(logits[0, 1:]) > 0).all()
    assert np.isfinite(category_logits(scores)).all()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    confidence=st.floats(0.2, 5.0),
    num_clips=st.integers(1, 60),
)
def test_the_fitted_temperature_never_makes_the_labels_less_likely(
    seed: int, confidence: float, num_clips: int
) -> None:
    scores, category = drawn_categories(num_clips, seed, confidence=confidence)
    logits = category_logits(scores)
    temperature, _ = fit_category_temperature(logits, category)
    assert category_loss(logits / temperature, category) <= category_loss(logits, category)
    tags = np.random.default_rng(seed).random(scores.shape) < scores
    tag_temperature, _ = fit_tag_temperature(tag_logits(scores), tags)
    assert tag_loss(tag_logits(scores) / tag_temperature, tags) <= tag_loss(tag_logits(scores), tags)
    assert LOWEST_TEMPERATURE < temperature < HIGHEST_TEMPERATURE
    assert LOWEST_TEMPERATURE < tag_temperature < HIGHEST_TEMPERATURE


@settings(deadline=None, max_examples=40)
@given(
    thousandths=st.lists(st.integers(1, 999), min_size=6, max_size=30),
    seed=st.integers(0, 10**6),
    temperature=st.floats(0.7, 8.0),
)
def test_temperatures_change_no_order(thousandths: list[int], seed: int, temperature: float) -> None:
    generator = np.random.default_rng(seed)
    tag_scores = (np.array(thousandths[: len(thousandths) // 2 * 2]) / 1000).reshape(-1, 2).astype(np.float32)
    category_scores = softmax(generator.normal(0, 2, (len(tag_scores), 3)), axis=1).astype(np.float32)
    calibration = Calibration(temperature, temperature, 0.0, (0.5, 0.3, 0.2), (0.5, 0.5))
    categories, tags = apply_calibration(calibration, category_scores, tag_scores)
    assert (categories.argmax(axis=1) == category_scores.argmax(axis=1)).all()
    np.testing.assert_allclose(categories.sum(axis=1), 1, atol=1e-6)
    labels = generator.random(tag_scores.shape) < 0.5
    for column in np.flatnonzero(labels.any(axis=0)):
        assert average_precision_score(labels[:, column], tags[:, column]) == pytest.approx(
            average_precision_score(labels[:, column], tag_scores[:, column]), abs=1e-12
        )
