"""Predictions: calibrated where a calibration stands, of several networks at once, and with a modality hidden."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from features.base.errors import CheckpointError, SettingError
from models.calibration.fit import apply_calibration, category_priors, fit_calibration
from models.calibration.schema import Calibration, read_calibration, write_calibration
from models.prediction.predict import Predictions, Predictor, predict, predicted_tags
from models.training.calibrate import calibrate_checkpoint
from tests.models.saved import CATEGORIES, DIMS, RECIPES, TAGS, saved_network
from tests.models.synthetic import SMALL_NETWORK, ListSource, random_labels, random_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.data.labels import Indices
    from models.data.sources import ClipFeatures

CALIBRATION = Calibration(2.0, 0.5, 0.5, (0.7, 0.2, 0.1), (0.3, 0.6))
EVERYONE = np.arange(12)


@pytest.fixture
def source() -> ListSource:
    return random_source(40, DIMS, seed=1)


def predict_ensemble(folders: Sequence[Path], source: ListSource, indices: Indices) -> Predictions:
    return Predictor.load(folders, DIMS, RECIPES).predict(source, indices)


def test_the_calibration_beside_the_weights_is_applied(tmp_path: Path, source: ListSource) -> None:
    folder = saved_network(tmp_path / "one")
    plain = predict(folder, source, EVERYONE, feature_recipes=RECIPES)
    assert plain.tag_thresholds.tolist() == [0.5, 0.5]
    write_calibration(folder, CALIBRATION)
    found = predict(folder, source, EVERYONE, feature_recipes=RECIPES)
    category_scores, tag_scores = apply_calibration(CALIBRATION, plain.category_scores, plain.tag_scores)
    np.testing.assert_array_equal(found.category_scores, category_scores)
    np.testing.assert_array_equal(found.tag_scores, tag_scores)
    np.testing.assert_array_equal(found.embedding, plain.embedding)
    assert found.tag_thresholds.tolist() == [0.3, 0.6]
    assert np.abs(found.tag_scores - plain.tag_scores).max() > 0.01
    np.testing.assert_array_equal(found.uncalibrated_category_scores, plain.category_scores)
    without = predict(folder, source, EVERYONE, feature_recipes=RECIPES, calibrated=False)
    np.testing.assert_array_equal(without.tag_scores, plain.tag_scores)
    assert without.tag_thresholds.tolist() == [0.5, 0.5]


def test_a_calibration_of_another_label_space_is_refused(tmp_path: Path, source: ListSource) -> None:
    folder = saved_network(tmp_path / "one")
    write_calibration(folder, replace(CALIBRATION, tag_thresholds=(0.5,)))
    with pytest.raises(CheckpointError, match="is of 3 categories and 1 tags, the network has 3 and 2"):
        predict(folder, source, EVERYONE, feature_recipes=RECIPES)


def test_an_ensemble_is_the_mean_and_its_cosines_are_the_mean_of_cosines(tmp_path: Path, source: ListSource) -> None:
    wider = replace(SMALL_NETWORK, embedding_width=24, max_steps=3, text_embedding="both")
    folders = [
        saved_network(tmp_path / "one", 1),
        saved_network(tmp_path / "two", 2, config=wider),
        saved_network(tmp_path / "three", 3, names=("audio", "frames")),
    ]
    write_calibration(folders[1], CALIBRATION)
    members = [predict(folder, source, EVERYONE, feature_recipes=RECIPES) for folder in folders]
    told: list[int] = []
    predictor = Predictor.load(folders, DIMS, RECIPES)
    found = predictor.predict(source, EVERYONE, batch_size=5, on_batch=told.append)
    assert told == [5, 5, 2]
    for name in ("category_scores", "tag_scores"):
        values = [getattr(member, name).astype(np.float64) for member in members]
        np.testing.assert_allclose(getattr(found, name), sum(values) / 3, atol=1e-5)
        assert np.abs(values[0] - values[2]).max() > 0.01
    np.testing.assert_allclose(found.tag_thresholds, [(0.5 + 0.3 + 0.5) / 3, (0.5 + 0.6 + 0.5) / 3])
    assert found.embedding.shape == (12, 16 + 24 + 16)
    assert found.embedding.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found.embedding, axis=1), 1, atol=1e-5)
    cosines = [member.embedding @ member.embedding.T for member in members]
    np.testing.assert_allclose(found.embedding @ found.embedding.T, sum(cosines) / 3, atol=1e-5)


def test_an_ensemble_reads_each_clip_once_for_all_networks_that_take_the_same_batches(
    tmp_path: Path, source: ListSource
) -> None:
    folders = [saved_network(tmp_path / str(seed), seed) for seed in range(3)]
    alone = [predict(folder, source, EVERYONE, feature_recipes=RECIPES).category_scores for folder in folders]
    source.num_reads = 0
    found = Predictor.load(folders, DIMS, RECIPES).predict(source, EVERYONE, batch_size=5)
    assert source.num_reads == len(EVERYONE)
    np.testing.assert_allclose(found.category_scores, np.mean(alone, axis=0), atol=1e-6)
    # A network that cuts clips shorter takes batches of its own.
    folders.append(saved_network(tmp_path / "short", 4, config=replace(SMALL_NETWORK, max_steps=3)))
    source.num_reads = 0
    Predictor.load(folders, DIMS, RECIPES).predict(source, EVERYONE, batch_size=5)
    assert source.num_reads == 2 * len(EVERYONE)


def test_scores_before_calibration_are_those_without_one(tmp_path: Path, source: ListSource) -> None:
    folders = [saved_network(tmp_path / "one", 1), saved_network(tmp_path / "two", 2)]
    for folder in folders:
        write_calibration(folder, CALIBRATION)
    found = Predictor.load(folders, DIMS, RECIPES).predict(source, EVERYONE)
    plain = Predictor.load(folders, DIMS, RECIPES, calibrated=False).predict(source, EVERYONE)
    np.testing.assert_array_equal(found.uncalibrated_category_scores, plain.category_scores)
    assert found.uncalibrated_category_scores.dtype == np.float32
    assert np.abs(found.category_scores - plain.category_scores).max() > 0.01


def test_networks_that_are_loaded_once_score_any_clips_the_same(tmp_path: Path, source: ListSource) -> None:
    folders = [saved_network(tmp_path / "one", 1), saved_network(tmp_path / "two", 2)]
    write_calibration(folders[0], CALIBRATION)
    whole = predict_ensemble(folders, source, EVERYONE)
    predictor = Predictor.load(folders, DIMS, RECIPES)
    assert (predictor.info.category_names, predictor.info.tag_names) == (CATEGORIES, TAGS)
    for folder in folders:
        shutil.rmtree(folder)  # nothing is read a second time
    parts = [predictor.predict(source, part) for part in (EVERYONE[:7], EVERYONE[7:])]
    for name in ("category_scores", "tag_scores", "embedding"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined, getattr(whole, name), atol=1e-6)
    np.testing.assert_array_equal(parts[1].tag_thresholds, whole.tag_thresholds)


def test_features_of_another_kind_are_refused_when_the_networks_are_loaded(tmp_path: Path) -> None:
    folder = saved_network(tmp_path / "one")
    with pytest.raises(CheckpointError, match="width of audio features is 9"):
        Predictor.load((folder,), {**DIMS, "audio": 9}, RECIPES)
    with pytest.raises(CheckpointError, match="audio features were made otherwise"):
        Predictor.load((folder,), DIMS, {**RECIPES, "audio": "another"})


def test_all_tags_from_their_thresholds_on_are_given_the_best_first() -> None:
    scores = np.array([0.2, 0.5, 0.9, 0.5, 0.0], np.float32)
    names = ("a", "b", "c", "d", "e")
    assert predicted_tags(scores, np.full(5, 0.5), names) == ["c", "b", "d"]
    assert predicted_tags(scores, np.array([0.1, 0.6, 0.95, 0.4, 0.0]), names) == ["d", "a", "e"]
    assert predicted_tags(scores, np.ones(5), names) == []
    assert predicted_tags(scores[:0], np.zeros(0), ()) == []


def test_an_ensemble_of_one_is_the_network_itself(tmp_path: Path, source: ListSource) -> None:
    folder = saved_network(tmp_path / "one")
    (alone,) = Predictor.load((folder,), DIMS, RECIPES).batches(source, EVERYONE)
    found = predict_ensemble((folder,), source, EVERYONE)
    for name in ("category_scores", "tag_scores", "embedding", "tag_thresholds"):
        assert getattr(found, name).tobytes() == getattr(alone, name).tobytes()


def test_an_ensemble_of_no_clip_has_the_right_widths(tmp_path: Path, source: ListSource) -> None:
    folders = [saved_network(tmp_path / "one"), saved_network(tmp_path / "two")]
    empty = predict_ensemble(folders, source, EVERYONE[:0])
    assert (empty.category_scores.shape, empty.tag_scores.shape) == ((0, 3), (0, 2))
    assert (empty.embedding.shape, empty.tag_thresholds.shape) == ((0, 32), (2,))


def test_networks_of_other_labels_are_no_ensemble(tmp_path: Path, source: ListSource) -> None:
    folders = [saved_network(tmp_path / "one"), saved_network(tmp_path / "two", tags=("tag1", "tag0"))]
    with pytest.raises(CheckpointError, match=r"one and .*two have different categories or tags: an ensemble needs"):
        predict_ensemble(folders, source, EVERYONE)
    with pytest.raises(CheckpointError, match="ensemble of no checkpoint"):
        predict_ensemble((), source, EVERYONE)


class BareSource(ListSource):
    """Clips that lack some modalities, whatever the list holds."""

    lacking = ("text", "audio")

    def __getitem__(self, index: int) -> ClipFeatures:
        clip = super().__getitem__(index)
        return {name: steps[: 0 if name in self.lacking else None] for name, steps in clip.items()}

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        return super().token_ids(index)[: 0 if "text" in self.lacking else None]


@pytest.mark.parametrize("missing", ["learned", "masked"])
def test_a_hidden_modality_is_as_good_as_missing(tmp_path: Path, source: ListSource, missing: str) -> None:
    config = replace(SMALL_NETWORK, missing=missing, text_embedding="both", num_experts=2)
    folder = saved_network(tmp_path / "one", config=config)
    bare = BareSource(source._clips, DIMS)
    expected = predict(folder, bare, EVERYONE, feature_recipes=RECIPES)
    hidden = predict(folder, source, EVERYONE, feature_recipes=RECIPES, hidden=("text", "audio"))
    whole = predict(folder, source, EVERYONE, feature_recipes=RECIPES)
    for name in ("category_scores", "tag_scores", "embedding"):
        np.testing.assert_allclose(getattr(hidden, name), getattr(expected, name), atol=1e-6)
        assert np.abs(getattr(whole, name) - getattr(expected, name)).max() > 1e-3


def test_a_hidden_modality_must_be_one(tmp_path: Path, source: ListSource) -> None:
    folder = saved_network(tmp_path / "one")
    with pytest.raises(SettingError, match="modality 'sound' cannot be hidden: expected one of frames, audio, text"):
        predict(folder, source, EVERYONE, feature_recipes=RECIPES, hidden=("sound",))


class WordlessSource(ListSource):
    """Clips whose tokens nobody may ask for."""

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        raise AssertionError(index)


def test_modalities_that_the_network_was_not_trained_on_are_left_out(tmp_path: Path, source: ListSource) -> None:
    folder = saved_network(tmp_path / "one", config=replace(SMALL_NETWORK, text_embedding="both"), names=("audio",))
    narrow = ListSource([{"audio": clip["audio"]} for clip in source._clips], {"audio": 5})
    expected = predict(folder, narrow, EVERYONE, feature_recipes=RECIPES)
    found = predict(folder, WordlessSource(source._clips, DIMS), EVERYONE, feature_recipes=RECIPES)
    np.testing.assert_array_equal(found.category_scores, expected.category_scores)


def test_a_checkpoint_is_calibrated_on_its_validation_clips(tmp_path: Path, source: ListSource) -> None:
    folder = saved_network(tmp_path / "one")
    labels = random_labels(40, num_tags=2)
    train, validation = np.arange(10), np.arange(10, 40)
    plain = predict(folder, source, validation, feature_recipes=RECIPES)
    expected = fit_calibration(
        plain.category_scores,
        labels.category[validation],
        plain.tag_scores,
        labels.tags[validation],
        labels.tags_known[validation],
        category_priors(labels.category[train], 3),
    )
    # What stands there from before has no influence.
    write_calibration(folder, CALIBRATION)
    found = calibrate_checkpoint(folder, source, labels, validation, train, feature_recipes=RECIPES)
    assert found == expected == read_calibration(folder)
    assert found.tag_thresholds != (0.5, 0.5)
    assert calibrate_checkpoint(folder, source, labels, EVERYONE[:0], train, feature_recipes=RECIPES).notes
