"""The regression finds what a line can find, chooses on validation, and survives constant labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from features.base.errors import DataError, SettingError
from models.data.labels import Labels
from models.evaluation.logistic_regression import LogisticSettings, Split, fit_logistic
from models.metrics import mean_average_precision

NAMES = ("a", "b", "c")
TAGS = ("x", "y")


def make_split(num_clips: int, seed: int) -> Split:
    """Three separable classes in 8 features, feature 7 constant; tag x follows feature 3, tag y is noise."""
    generator = np.random.default_rng(seed)
    category = generator.integers(0, 3, num_clips)
    features = generator.normal(size=(num_clips, 8)).astype(np.float32)
    features[np.arange(num_clips), category] += 6
    features[:, 4] *= 1000  # standardising must undo this
    features[:, 7] = 5
    tags = np.stack([features[:, 3] > 0, generator.random(num_clips) < 0.5], axis=1)
    return Split(features, Labels(NAMES, TAGS, category, tags, np.ones(num_clips, dtype=bool)))


def relabel(
    split: Split,
    category: npt.NDArray[np.int64] | None = None,
    tags: npt.NDArray[np.bool_] | None = None,
    tags_known: npt.NDArray[np.bool_] | None = None,
) -> Split:
    old = split.labels
    return Split(
        split.features,
        Labels(
            NAMES,
            TAGS,
            old.category if category is None else category,
            old.tags if tags is None else tags,
            old.tags_known if tags_known is None else tags_known,
        ),
    )


TRAIN, VALIDATION, TEST = make_split(120, 0), make_split(60, 1), make_split(60, 2)


def test_separable_labels_are_learned_and_noise_is_not() -> None:
    category, tags = fit_logistic(TRAIN, VALIDATION, LogisticSettings()).predict(TEST.features)
    assert category is not None
    assert tags is not None
    assert category.shape == (60, 3)
    assert (category.argmax(axis=1) == TEST.labels.category).mean() > 0.95
    np.testing.assert_allclose(category.sum(axis=1), 1, atol=1e-6)
    assert mean_average_precision(tags[:, :1], TEST.labels.tags[:, :1]) > 0.95
    assert mean_average_precision(tags[:, 1:], TEST.labels.tags[:, 1:]) < 0.75


def test_equals_scikit_learn_on_features_standardised_by_train_alone() -> None:
    settings = LogisticSettings(inverse_regularisations=(0.1,))
    category, tags = fit_logistic(TRAIN, VALIDATION, settings).predict(TEST.features)
    varying = np.arange(7)
    mean, deviation = TRAIN.features[:, varying].mean(axis=0), TRAIN.features[:, varying].std(axis=0)
    train, test = ((s.features[:, varying] - mean) / deviation for s in (TRAIN, TEST))
    expected = LogisticRegression(C=0.1, max_iter=500).fit(train, TRAIN.labels.category)
    assert category is not None
    # both stop at a gradient of 1e-4
    np.testing.assert_allclose(category, expected.predict_proba(test), atol=1e-3)
    expected_x = LogisticRegression(C=0.1, max_iter=500).fit(train, TRAIN.labels.tags[:, 0])
    assert tags is not None
    np.testing.assert_allclose(tags[:, 0], expected_x.predict_proba(test)[:, 1], atol=1e-3)


def test_more_features_than_clips_give_scikit_learns_model_too() -> None:
    generator = np.random.default_rng(5)
    wide = generator.normal(size=(100, 150)).astype(np.float32)
    train, test = wide[:40], wide[40:]
    labels = Labels(NAMES, TAGS, TRAIN.labels.category[:40], TRAIN.labels.tags[:40], np.ones(40, dtype=bool))
    split = Split(train, labels)
    category, _ = fit_logistic(split, split, LogisticSettings((0.1,))).predict(test)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    expected = LogisticRegression(C=0.1, max_iter=500).fit((train - mean) / deviation, labels.category)
    assert category is not None
    # both stop at a gradient of 1e-4
    np.testing.assert_allclose(category, expected.predict_proba((test - mean) / deviation), atol=1e-3)


def test_a_feature_that_was_constant_in_train_cannot_explode() -> None:
    features = TRAIN.features.copy()
    features[:, 7] = 0.1
    model = fit_logistic(Split(features, TRAIN.labels), VALIDATION, LogisticSettings())
    other = TEST.features.copy()
    other[:, 7] = 0.2
    category, _ = model.predict(other)
    assert category is not None
    assert (category.argmax(axis=1) == TEST.labels.category).mean() > 0.95


def test_regularisation_is_the_one_that_validation_likes_best() -> None:
    grid = (1e-4, 1.0)
    scores = []
    for c in grid:
        tags = fit_logistic(TRAIN, VALIDATION, LogisticSettings((c,))).predict(VALIDATION.features)[1]
        assert tags is not None
        scores.append(mean_average_precision(tags, VALIDATION.labels.tags))
    model = fit_logistic(TRAIN, VALIDATION, LogisticSettings(grid))
    assert scores[0] != scores[1]
    assert model.tags is not None
    assert model.tags.inverse_regularisation == grid[int(np.argmax(scores))]


def test_of_equal_rankings_the_lower_cross_entropy_wins() -> None:
    # the classes are separable, so every C ranks them perfectly, but the smallest predicts the majority
    model = fit_logistic(TRAIN, VALIDATION, LogisticSettings((1e-5, 1.0)))
    assert model.category is not None
    assert model.category.inverse_regularisation == 1.0


def test_a_confidently_wrong_model_loses_against_a_doubtful_one_that_ranks_as_well() -> None:
    # one clip ranks perfectly whatever its score; its label is wrong, so certainty costs more
    wrong = (VALIDATION.labels.category[:1] + 1) % 3
    one = Split(VALIDATION.features[:1], Labels(NAMES, TAGS, wrong, VALIDATION.labels.tags[:1], np.ones(1, dtype=bool)))
    model = fit_logistic(TRAIN, one, LogisticSettings((1e-5, 1.0)))
    assert model.category is not None
    assert model.category.inverse_regularisation == 1e-5


def test_without_a_labelled_validation_clip_the_weakest_regularisation_is_taken() -> None:
    blind = relabel(VALIDATION, category=np.full(60, -1), tags_known=np.zeros(60, dtype=bool))
    model = fit_logistic(TRAIN, blind, LogisticSettings((0.01, 1.0)))
    assert model.category is not None
    assert model.tags is not None
    assert (model.category.inverse_regularisation, model.tags.inverse_regularisation) == (1.0, 1.0)


def test_constant_tags_and_absent_categories_get_their_share_in_train() -> None:
    tags = np.stack([np.ones(120, dtype=bool), np.zeros(120, dtype=bool)], axis=1)
    train = relabel(TRAIN, category=np.where(TRAIN.labels.category == 2, -1, TRAIN.labels.category), tags=tags)
    category, tag_scores = fit_logistic(train, VALIDATION, LogisticSettings()).predict(TEST.features)
    assert category is not None
    assert category[:, 2].tolist() == [0.0] * 60
    assert tag_scores is not None
    assert tag_scores.tolist() == [[1.0, 0.0]] * 60


def test_a_single_category_in_train_is_always_predicted() -> None:
    train = relabel(TRAIN, category=np.ones(120, dtype=np.int64))
    category, _ = fit_logistic(train, VALIDATION, LogisticSettings()).predict(TEST.features)
    assert category is not None
    assert category.tolist() == [[0.0, 1.0, 0.0]] * 60


def test_a_head_without_a_train_label_is_none() -> None:
    train = relabel(TRAIN, category=np.full(120, -1), tags_known=np.zeros(120, dtype=bool))
    assert fit_logistic(train, VALIDATION, LogisticSettings()).predict(TEST.features) == (None, None)


def test_fits_that_have_not_converged_stay_silent(recwarn: pytest.WarningsRecorder) -> None:
    model = fit_logistic(TRAIN, VALIDATION, LogisticSettings((1.0,), max_iterations=1))
    assert model.tags is not None
    assert not recwarn.list


def test_no_clip_to_score_gives_no_rows() -> None:
    category, tags = fit_logistic(TRAIN, VALIDATION, LogisticSettings()).predict(TEST.features[:0])
    assert category is not None
    assert category.shape == (0, 3)
    assert tags is not None
    assert tags.shape == (0, 2)


def test_unusable_splits_and_settings_are_refused() -> None:
    empty = Split(TRAIN.features[:0], Labels(NAMES, TAGS, np.zeros(0, int), np.zeros((0, 2), bool), np.zeros(0, bool)))
    with pytest.raises(DataError, match="train split has 0 clips of 8 features"):
        fit_logistic(empty, VALIDATION, LogisticSettings())
    with pytest.raises(DataError, match="pool all splits from one source"):
        fit_logistic(TRAIN, Split(VALIDATION.features[:, :5], VALIDATION.labels), LogisticSettings())
    broken = VALIDATION.features.copy()
    broken[3, 2] = np.inf
    with pytest.raises(DataError, match="validation features hold a value that is not finite"):
        fit_logistic(TRAIN, Split(broken, VALIDATION.labels), LogisticSettings())
    with pytest.raises(SettingError, match="smallest first"):
        LogisticSettings((1.0, 0.1))
    with pytest.raises(SettingError, match="max_clips is 0"):
        LogisticSettings(max_clips=0)
