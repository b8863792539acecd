"""Rare categories are lifted as the paper says, where that helps by more than chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score

from models.calibration.logits import TAUS, fit_tau, lift_rare

PRIORS = np.array([0.9, 0.07, 0.03])
Float64 = npt.NDArray[np.float64]


def imbalanced(num_clips: int, seed: int) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Log posteriors of unit normals around three corners, and their categories drawn by ``PRIORS``."""
    generator = np.random.default_rng(seed)
    category = generator.choice(3, num_clips, p=PRIORS)
    centres = 1.5 * np.eye(3)
    points = centres[category] + generator.normal(size=(num_clips, 3))
    likelihoods = -0.5 * ((points[:, None] - centres) ** 2).sum(axis=2)
    return likelihoods + np.log(PRIORS), category


def macro_f1_of(logits: Float64, category: npt.NDArray[np.int64]) -> float:
    return float(f1_score(category, logits.argmax(axis=1), average="macro", zero_division=0))


@pytest.mark.parametrize("tau", [0.0, 0.25, 1.0])
def test_probabilities_are_divided_by_the_power_of_the_prior(tau: float) -> None:
    probabilities = np.array([[0.8, 0.15, 0.05], [0.2, 0.2, 0.6]])
    lifted = softmax(lift_rare(np.log(probabilities), PRIORS, tau), axis=1)
    expected = probabilities * PRIORS**-tau
    np.testing.assert_allclose(lifted, expected / expected.sum(axis=1, keepdims=True), atol=1e-12)


def test_a_category_that_training_lacks_is_not_lifted() -> None:
    logits = np.zeros((1, 3))
    lifted = lift_rare(logits, np.array([0.8, 0.2, 0.0]), 1.0)
    np.testing.assert_allclose(lifted, [[0.0, np.log(4), 0.0]])
    assert lift_rare(logits, np.zeros(3), 1.0).tolist() == logits.tolist()


def test_a_clear_gain_is_taken_and_is_the_best_of_the_grid() -> None:
    logits, category = imbalanced(3000, 0)
    tau, why_none = fit_tau(logits, category, PRIORS, np.random.default_rng(0))
    assert why_none == ""
    scores = {value: macro_f1_of(logits - value * np.log(PRIORS), category) for value in (0.0, *TAUS)}
    assert scores[tau] == max(scores.values())
    assert scores[tau] > scores[0.0] + 0.05


def test_what_few_clips_seem_to_gain_is_taken_for_chance() -> None:
    logits, category = imbalanced(30, 16)
    scores = {value: macro_f1_of(logits - value * np.log(PRIORS), category) for value in (0.0, *TAUS)}
    assert max(scores.values()) > scores[0.0]
    found = fit_tau(logits, category, PRIORS, np.random.default_rng(0))
    assert found == (0.0, "the macro F1 does not grow by more than chance")


def test_equal_priors_and_few_clips_lift_nothing() -> None:
    logits, category = imbalanced(200, 2)
    assert fit_tau(logits, category, np.full(3, 1 / 3), np.random.default_rng(0))[0] == 0.0
    few = fit_tau(logits[:19], category[:19], PRIORS, np.random.default_rng(0))
    assert few == (0.0, "19 validation clips have a category, 20 are needed")


def test_the_choice_repeats_and_a_clear_one_does_not_hang_on_the_draws() -> None:
    logits, category = imbalanced(300, 3)
    found = [fit_tau(logits, category, PRIORS, np.random.default_rng(5)) for _ in range(2)]
    assert found[0] == found[1]
    logits, category = imbalanced(3000, 0)
    clear = {fit_tau(logits, category, PRIORS, np.random.default_rng(seed)) for seed in range(3)}
    assert len(clear) == 1
