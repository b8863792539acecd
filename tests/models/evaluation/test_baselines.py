"""Pooling by hand, the majority's chance level, and the run of all baselines from ragged clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from features.base.errors import DataError, SettingError
from models.calibration.fit import apply_calibration, category_priors, fit_calibration
from models.data.labels import Labels
from models.evaluation.baselines import BaselineScores, majority, pooled_features, run_baselines, subsample
from models.evaluation.logistic_regression import LogisticSettings
from tests.models.evaluation.scored import evaluate_arrays

Scalar = TypeVar("Scalar", bound=np.generic)
Clip = Mapping[str, npt.NDArray[np.float16]]


class ListSource:
    """Clips in memory: frames of width 2, audio of width 1."""

    modality_dims: Mapping[str, int] = {"frames": 2, "audio": 1}

    def __init__(self, clips: list[Clip]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        return self.clips[index]

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        return np.zeros(len(self.clips[index].get("text", ())), np.int32)


def run_on(
    source: ListSource,
    labels: Labels,
    splits: Mapping[str, npt.NDArray[np.int64]],
    settings: LogisticSettings,
    *,
    calibrated: bool = False,
) -> dict[str, BaselineScores]:
    train, validation, scored = (splits[name] for name in ("train", "validation", "scored"))
    return run_baselines(
        source,
        labels,
        train=train,
        validation=validation,
        scored=scored,
        settings=settings,
        calibrated=calibrated,
    )


def present(array: npt.NDArray[Scalar] | None) -> npt.NDArray[Scalar]:
    """The array of a head that is there."""
    assert array is not None
    return array


def make_clip(frames: list[list[float]], audio: list[list[float]]) -> Clip:
    return {
        "frames": np.array(frames, dtype=np.float16).reshape(-1, 2),
        "audio": np.array(audio, dtype=np.float16).reshape(-1, 1),
    }


def make_source(num_clips: int) -> tuple[ListSource, Labels]:
    """Category = sign of the first frame feature; the tag is unknown for every fifth clip."""
    generator = np.random.default_rng(0)
    category = np.arange(num_clips) % 3 // 2  # 0 0 1: class 0 is the majority
    clips = [
        make_clip(
            (generator.normal(size=(3, 2)) + np.array([4 * label - 2, 0])).tolist(),
            [[1.0]] if index % 2 else [],
        )
        for index, label in enumerate(category)
    ]
    tags = (np.arange(num_clips) % 2 == 1)[:, np.newaxis]  # has sound
    return ListSource(clips), Labels(("a", "b"), ("sound",), category, tags, np.arange(num_clips) % 5 > 0)


def test_pooling_is_the_mean_over_time_and_zeros_with_a_flag_where_missing() -> None:
    source = ListSource([make_clip([[1, 2], [3, 6]], [[5]]), make_clip([], [[7], [8]]), make_clip([], [])])
    # audio, frames (by name), then the flags in the same order
    assert pooled_features(source, np.array([2, 0, 1])).tolist() == [
        [0, 0, 0, 0, 0],
        [5, 2, 4, 1, 1],
        [7.5, 0, 0, 1, 0],
    ]
    assert pooled_features(source, np.array([], dtype=int)).shape == (0, 5)


def test_pooling_sums_in_single_precision() -> None:
    clip = make_clip([[60000.0, 0.0]] * 4, [])  # a float16 sum would overflow beyond 65,504
    assert pooled_features(ListSource([clip]), np.array([0]))[0].tolist() == [0, 60000, 0, 0, 1]


def test_thinning_draws_clips_that_cover_a_corpus_of_alternating_categories() -> None:
    indices = np.arange(100, 700)
    drawn = subsample(indices, 200, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 200
    assert set(drawn.tolist()) < set(indices.tolist())
    assert (np.diff(drawn) > 0).all()
    assert (np.bincount(drawn % 3) > 40).all()
    assert drawn.tolist() == subsample(indices, 200, np.random.default_rng(0)).tolist()
    assert subsample(indices, 600, np.random.default_rng(0)).tolist() == indices.tolist()


def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(SettingError, match="limit of clips is 0"):
        subsample(np.arange(3), 0, np.random.default_rng(0))


def test_majority_gives_the_shares_among_labelled_train_clips_and_ranks_at_chance() -> None:
    category = np.array([0, 1, 1, -1, 1])
    tags = np.array([[True], [False], [False], [True], [False]])
    known = np.array([True, True, True, False, True])
    labels = Labels(("a", "b"), ("t",), category, tags, known)
    scores = majority(labels, 5)
    assert scores.category_scores is not None
    assert scores.tag_scores is not None
    assert scores.category_scores.tolist() == [[0.25, 0.75]] * 5
    assert scores.tag_scores.tolist() == [[0.25]] * 5
    result = evaluate_arrays(
        scores.category_scores,
        category,
        scores.tag_scores,
        tags,
        known,
        category_names=("a", "b"),
        tag_names=("t",),
    )
    assert result["category"] is not None
    assert result["category"]["accuracy"] == 0.75
    for row in (*result["per_class"]["category"], *result["per_class"]["tags"]):
        assert row["average_precision"] == row["chance"]


def test_majority_without_labels_has_no_heads() -> None:
    labels = Labels(("a",), (), np.array([-1]), np.zeros((1, 0), bool), np.array([True]))
    assert (majority(labels, 2).category_scores, majority(labels, 2).tag_scores) == (None, None)


def test_all_baselines_on_one_source() -> None:
    source, labels = make_source(120)
    train, validation, scored = np.arange(0, 60), np.arange(60, 90), np.arange(90, 120)
    settings = LogisticSettings(max_clips=40)
    scores = run_baselines(source, labels, train=train, validation=validation, scored=scored, settings=settings)
    assert list(scores) == ["majority", "logistic_regression"]
    accuracies = {
        name: float((part.category_scores.argmax(axis=1) == labels.category[scored]).mean())
        for name, part in scores.items()
        if part.category_scores is not None
    }
    assert accuracies["majority"] == pytest.approx(2 / 3)
    assert accuracies["logistic_regression"] > 0.9
    regression = scores["logistic_regression"]
    assert regression.tag_scores is not None
    # the tag is "has sound", which only the presence flag and the zero say
    assert ((regression.tag_scores[:, 0] > 0.5) == labels.tags[scored, 0]).all()


def test_many_clips_are_scored_in_parts_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    source, labels = make_source(90)
    splits = {"train": np.arange(60), "validation": np.arange(60, 70), "scored": np.arange(70, 90)}
    settings = LogisticSettings((0.1,))
    whole = run_on(source, labels, splits, settings)
    monkeypatch.setattr("models.evaluation.baselines.NUM_CLIPS_AT_ONCE", 7)
    parts = run_on(source, labels, splits, settings)
    for name in whole:
        left, right = whole[name].tag_scores, parts[name].tag_scores
        assert left is not None
        assert right is not None
        np.testing.assert_allclose(left, right, rtol=1e-6)


def test_no_clip_to_score_and_no_clip_to_train_on() -> None:
    source, labels = make_source(30)
    none = np.array([], dtype=np.int64)
    scores = run_baselines(
        source, labels, train=np.arange(20), validation=none, scored=none, settings=LogisticSettings()
    )
    assert all(part.category_scores is not None and part.category_scores.shape == (0, 2) for part in scores.values())
    with pytest.raises(DataError, match="train split has 0 clips"):
        run_baselines(source, labels, train=none, validation=none, scored=np.arange(3), settings=LogisticSettings())


def test_calibrated_baselines_get_thresholds_from_the_validation_clips_alone() -> None:
    source, labels = make_source(150)
    splits = {"train": np.arange(60), "validation": np.arange(60, 110), "scored": np.arange(110, 150)}
    settings = LogisticSettings((0.001,))
    plain = run_on(source, labels, splits, settings)
    found = run_on(source, labels, splits, settings, calibrated=True)
    assert plain["logistic_regression"].tag_thresholds is None
    # Every validation clip has the tag as likely as any other: all are given it, the best that a constant can do.
    shares = present(found["majority"].tag_scores)
    assert present(found["majority"].tag_thresholds)[0] == pytest.approx(shares[0, 0] / 2)
    np.testing.assert_array_equal(
        present(found["majority"].category_scores), present(plain["majority"].category_scores)
    )
    other_test_labels = replace(
        labels, tags=np.where(np.arange(150)[:, None] < 110, labels.tags, ~labels.tags), tags_known=labels.tags_known
    )
    again = run_on(source, other_test_labels, splits, settings, calibrated=True)
    for name, scores in found.items():
        np.testing.assert_array_equal(present(scores.tag_thresholds), present(again[name].tag_thresholds))


def test_the_regression_is_calibrated_as_a_network_is() -> None:
    source, labels = make_source(150)
    noisy = replace(labels, category=np.where(np.arange(150) % 7 == 0, 1 - labels.category, labels.category))
    train, validation, scored = np.arange(60), np.arange(60, 110), np.arange(110, 150)
    runs = [
        run_baselines(
            source, noisy, train=train, validation=validation, scored=rows, settings=LogisticSettings(), calibrated=on
        )["logistic_regression"]
        for rows, on in ((validation, False), (scored, False), (scored, True))
    ]
    of_validation, plain, calibrated = runs
    expected = fit_calibration(
        present(of_validation.category_scores),
        noisy.category[validation],
        present(of_validation.tag_scores),
        noisy.tags[validation],
        noisy.tags_known[validation],
        category_priors(noisy.category[train], 2),
    )
    assert expected.category_temperature != 1.0
    category_scores, tag_scores = apply_calibration(expected, present(plain.category_scores), present(plain.tag_scores))
    np.testing.assert_allclose(present(calibrated.category_scores), category_scores, atol=1e-6)
    np.testing.assert_allclose(present(calibrated.tag_scores), tag_scores, atol=1e-6)
    np.testing.assert_allclose(present(calibrated.tag_thresholds), np.array(expected.tag_thresholds), atol=1e-6)


@pytest.mark.parametrize("has_tags", [False, True])
def test_a_baseline_without_a_head_is_calibrated_in_the_other(has_tags: bool) -> None:
    source, labels = make_source(90)
    nobody = np.zeros(90, bool)
    without = replace(labels, category=np.full(90, -1)) if has_tags else replace(labels, tags_known=nobody)
    splits = {"train": np.arange(40), "validation": np.arange(40, 70), "scored": np.arange(70, 90)}
    for scores in run_on(source, without, splits, LogisticSettings((0.1,)), calibrated=True).values():
        assert (scores.category_scores is None) == has_tags
        assert (scores.tag_scores is None) == (scores.tag_thresholds is None) == (not has_tags)
