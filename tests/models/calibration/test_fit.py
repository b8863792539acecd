"""A whole calibration: what it does to scores, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from sklearn.metrics import f1_score

from features.base.errors import DataError
from models.calibration.fit import MIN_POSITIVES, apply_calibration, category_priors, fit_calibration
from models.calibration.schema import Calibration, mean_thresholds, no_calibration

Float32 = npt.NDArray[np.float32]
PRIORS = np.array([0.7, 0.2, 0.1])


def random_scores(num_clips: int, seed: int) -> tuple[Float32, Float32]:
    generator = np.random.default_rng(seed)
    categories = softmax(generator.normal(0, 2, (num_clips, 3)), axis=1)
    return categories.astype(np.float32), expit(generator.normal(-1, 2, (num_clips, 4))).astype(np.float32)


def fit_on(scores: tuple[Float32, Float32], seed: int) -> tuple[Calibration, npt.NDArray[np.bool_]]:
    """A calibration on labels drawn from the scores, and the tags."""
    generator = np.random.default_rng(seed)
    category = np.array([generator.choice(3, p=row / row.sum()) for row in scores[0].astype(np.float64)], np.int64)
    tags = generator.random(scores[1].shape) < scores[1]
    return fit_calibration(scores[0], category, scores[1], tags, np.ones(len(tags), bool), PRIORS), tags


def test_apply_is_the_formula_of_both_papers() -> None:
    categories, tags = random_scores(20, 0)
    calibration = Calibration(2.0, 0.5, 0.75, tuple(PRIORS), (0.5,) * 4)
    found_categories, found_tags = apply_calibration(calibration, categories, tags)
    roots = np.sqrt(categories.astype(np.float64)) * PRIORS**-0.75
    np.testing.assert_allclose(found_categories, roots / roots.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(found_tags, expit(2 * logit(tags.astype(np.float64))), atol=1e-6)
    assert found_categories.dtype == found_tags.dtype == np.float32


def test_the_identity_keeps_every_bit() -> None:
    scores = random_scores(20, 1)
    for found, given_scores in zip(apply_calibration(no_calibration(3, 4), *scores), scores, strict=True):
        assert found.tobytes() == given_scores.tobytes()


def test_scores_of_zero_and_one_stay_finite() -> None:
    calibration = Calibration(0.3, 3.0, 1.0, (0.6, 0.4, 0.0), (0.5, 0.5))
    categories, tags = apply_calibration(calibration, np.eye(3, dtype=np.float32), np.array([[0, 1]] * 3, np.float32))
    np.testing.assert_allclose(categories, np.eye(3), atol=1e-6)
    assert np.isfinite(tags).all()
    assert (tags[:, 0] < tags[:, 1]).all()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), num_clips=st.integers(1, 80))
def test_thresholds_fit_the_scores_that_apply_gives(seed: int, num_clips: int) -> None:
    scores = random_scores(num_clips, seed)
    calibration, tags = fit_on(scores, seed)
    _, tag_scores = apply_calibration(calibration, *scores)
    for column, threshold in enumerate(calibration.tag_thresholds):
        if tags[:, column].sum() >= MIN_POSITIVES:
            found = f1_score(tags[:, column], tag_scores[:, column] >= threshold)
            others = (*tag_scores[:, column], 0.5)
            assert found == max(
                f1_score(tags[:, column], tag_scores[:, column] >= other, zero_division=0) for other in others
            )


def test_unknown_labels_have_no_influence() -> None:
    categories, tags = random_scores(60, 5)
    generator = np.random.default_rng(6)
    category = generator.integers(0, 3, 60)
    true_tags = generator.random((60, 4)) < 0.4
    whole = fit_calibration(categories[:40], category[:40], tags[:40], true_tags[:40], np.ones(40, bool), PRIORS)
    category[40:] = -1
    partly = fit_calibration(categories, category, tags, true_tags, np.arange(60) < 40, PRIORS)
    assert partly == whole
    assert len(set(whole.tag_thresholds)) > 1


def test_without_labels_nothing_is_changed_and_the_notes_say_why() -> None:
    categories, tags = random_scores(30, 7)
    found = fit_calibration(categories, np.full(30, -1), tags, np.zeros((30, 4), bool), np.zeros(30, bool), PRIORS)
    assert found == Calibration(
        1.0,
        1.0,
        0.0,
        (0.7, 0.2, 0.1),
        (0.5,) * 4,
        (
            "category temperature 1: 0 validation clips have a category, 20 are needed",
            "rare categories not lifted: 0 validation clips have a category, 20 are needed",
            "tag temperature 1: the tags of 0 validation clips are known, 20 are needed",
            "0 tags are known on validation clips, thresholds need 5",
        ),
    )


def test_a_missing_head_is_nothing_to_fit() -> None:
    categories, tags = random_scores(40, 8)
    nothing, known = np.zeros((40, 0), np.float32), np.ones(40, bool)
    no_tags = fit_calibration(categories, np.zeros(40, np.int64), nothing, np.zeros((40, 0), bool), known, PRIORS)
    assert no_tags.tag_thresholds == ()
    assert apply_calibration(no_tags, categories, nothing)[1].shape == (40, 0)
    no_category = fit_calibration(nothing, np.full(40, -1), tags, tags > 0.6, known, np.zeros(0))
    assert (no_category.category_priors, no_category.category_temperature) == ((), 1.0)
    assert apply_calibration(no_category, nothing, tags)[0].shape == (40, 0)


def test_shares_count_the_clips_of_known_category() -> None:
    assert category_priors(np.array([0, 0, 2, -1, 0]), 4).tolist() == [0.75, 0, 0.25, 0]
    assert category_priors(np.array([-1]), 2).tolist() == [0, 0]
    assert category_priors(np.array([], np.int64), 0).tolist() == []


def test_arrays_that_do_not_fit_are_refused() -> None:
    categories, tags = random_scores(5, 9)
    known = np.ones(5, bool)
    with pytest.raises(DataError, match=r"category scores have shape \(5, 3\): give \(5, 2\)"):
        fit_calibration(categories, np.zeros(5, np.int64), tags, tags > 0.5, known, PRIORS[:2])
    with pytest.raises(DataError, match=r"tag scores have shape \(5, 4\): give \(4, 4\)"):
        fit_calibration(categories[:4], np.zeros(4, np.int64), tags, tags > 0.5, known, PRIORS)
    with pytest.raises(DataError, match=r"tags have shape \(5, 4\): give \(4, 4\)"):
        fit_calibration(categories, np.zeros(5, np.int64), tags, tags > 0.5, known[:4], PRIORS)
    with pytest.raises(DataError, match=r"tag scores have shape \(4,\): give \(3,\)"):
        apply_calibration(no_calibration(3, 3), categories, tags)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((0.0, 1.0, 0.0, (), ()), "category_temperature is 0.0: give a finite number above 0"),
        ((1.0, float("inf"), 0.0, (), ()), "tag_temperature is inf"),
        ((1.0, float("nan"), 0.0, (), ()), "tag_temperature is nan"),
        ((1.0, 1.0, 1.5, (), ()), "category_tau is 1.5: give 0 to 1"),
        ((1.0, 1.0, 0.0, (0.5, -0.1), ()), "category_priors hold -0.1"),
        ((1.0, 1.0, 0.0, (), (float("nan"),)), "tag_thresholds hold nan"),
    ],
)
def test_impossible_values_are_refused(
    values: tuple[float, float, float, tuple[float, ...], tuple[float, ...]], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        Calibration(*values)


def test_thresholds_of_an_ensemble_are_the_mean() -> None:
    members = [Calibration(1.0, 1.0, 0.0, (), thresholds) for thresholds in ((0.2, 0.5), (0.4, 0.1))]
    np.testing.assert_allclose(mean_thresholds(members), [0.3, 0.3])
