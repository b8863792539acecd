from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import torch

from features.base.errors import CheckpointError, DataError, SettingError
from models.config.network import NetworkConfig
from models.config.training import TrainConfig
from models.metrics.arrays import average_precision_per_class
from models.prediction.checkpoints import load
from models.prediction.predict import Predictor, predict
from models.training.history import EpochRecord, read_history
from models.training.train import TrainSummary, train
from tests.models.synthetic import SMALL_NETWORK, ListSource, make_labels, random_labels, random_source

if TYPE_CHECKING:
    from pathlib import Path

    from models.data.labels import Indices, Labels
    from models.data.sources import ClipFeatures

DIMS = {"frames": 10, "audio": 7, "text": 9, "cover": 10}
RECIPES = {name: f"recipe of {name}" for name in DIMS}
QUICK = TrainConfig(epochs=4, batch_size=8, learning_rate=3e-3, ema_decay=0.5)
DROPPING = replace(SMALL_NETWORK, dropout=0.3, modality_dropout=0.2)
NOBODY = np.array([], dtype=np.int64)


class KilledError(Exception):
    """Stands for a kill."""


class DyingSource(ListSource):
    """Raises after a number of reads."""

    def __init__(self, source: ListSource, num_reads: int) -> None:
        super().__init__(source._clips, source.modality_dims)
        self.reads_left = num_reads

    def __getitem__(self, index: int) -> ClipFeatures:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise KilledError
        return super().__getitem__(index)


def run(
    folder: Path,
    source: ListSource,
    labels: Labels,
    *,
    splits: tuple[Indices, Indices],
    network: NetworkConfig = DROPPING,
    config: TrainConfig = QUICK,
) -> TrainSummary:
    return train(source, labels, splits[0], splits[1], network, config, folder, feature_recipes=RECIPES, device="cpu")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load(folder).network.state_dict()


def assert_same_weights(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


SPLITS = (np.arange(20), np.arange(20, 32))


def test_same_call_gives_the_same_bits_and_another_seed_does_not(tmp_path: Path) -> None:
    source, labels = random_source(32, DIMS), random_labels(32)
    state = torch.random.get_rng_state()
    first = run(tmp_path / "a", source, labels, splits=SPLITS)
    torch.rand(1)
    run(tmp_path / "b", source, labels, splits=SPLITS)
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    torch.random.set_rng_state(state)
    run(tmp_path / "c", source, labels, splits=SPLITS, config=replace(QUICK, seed=1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(
        weights(tmp_path / "a")["experts.0.embed.weight"], weights(tmp_path / "c")["experts.0.embed.weight"]
    )
    assert first.num_epochs == 4
    assert first.num_parameters == sum(w.numel() for w in load(tmp_path / "a").network.parameters())


@pytest.mark.parametrize("num_reads", [10, 45, 75, 127])
def test_killed_run_ends_like_an_undisturbed_one(tmp_path: Path, num_reads: int) -> None:
    source, labels = random_source(32, DIMS), random_labels(32)
    config = replace(QUICK, cache_megabytes=0)
    undisturbed = run(tmp_path / "whole", source, labels, splits=SPLITS, config=config)
    with pytest.raises(KilledError):
        run(tmp_path / "cut", DyingSource(source, num_reads), labels, splits=SPLITS, config=config)
    # 20 training and 12 validation clips an epoch
    assert (tmp_path / "cut" / "resume.pt").exists() == (num_reads >= 32)
    source.num_reads = 0
    resumed = run(tmp_path / "cut", source, labels, splits=SPLITS, config=config)
    # And the validation clips once more, to calibrate.
    assert source.num_reads == 32 * (4 - num_reads // 32) + 12
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    drop_times = [[replace(record, seconds=0.0) for record in summary.history] for summary in (undisturbed, resumed)]
    assert drop_times[0] == drop_times[1]
    assert read_history(tmp_path / "cut") == resumed.history
    names = ["calibration.json", "history.jsonl", "model.json", "model.safetensors"]
    names += ["network.json", "network.md", "network.svg", "tensorboard"]
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == names
    for name in ("calibration.json", "network.svg"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_state_of_another_call_or_a_damaged_one_is_not_resumed(tmp_path: Path) -> None:
    source, labels = random_source(32, DIMS), random_labels(32)
    config = replace(QUICK, cache_megabytes=0)
    for folder in ("other", "damaged"):
        with pytest.raises(KilledError):
            run(tmp_path / folder, DyingSource(source, 70), labels, splits=SPLITS, config=config)
    (tmp_path / "damaged" / "resume.pt").write_bytes(b"PK nonsense")
    run(tmp_path / "damaged", source, labels, splits=SPLITS, config=config)
    run(tmp_path / "other", source, labels, splits=SPLITS, config=replace(config, seed=5))
    run(tmp_path / "fresh", source, labels, splits=SPLITS, config=replace(config, seed=5))
    assert_same_weights(tmp_path / "other", tmp_path / "fresh")
    assert len(read_history(tmp_path / "damaged")) == 4


def test_each_epoch_is_told_when_it_is_on_disk(tmp_path: Path) -> None:
    told: list[EpochRecord] = []

    def on_epoch(record: EpochRecord) -> None:
        told.append(record)
        assert read_history(tmp_path) == tuple(told)
        assert (tmp_path / "resume.pt").exists()

    summary = train(
        random_source(32, DIMS),
        random_labels(32),
        *SPLITS,
        SMALL_NETWORK,
        QUICK,
        tmp_path,
        feature_recipes=RECIPES,
        on_epoch=on_epoch,
    )
    assert tuple(told) == summary.history
    assert load(tmp_path).info.selected_epoch == summary.selected_epoch
    assert summary.validation_score == max(record.score or 0 for record in told)


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    config = replace(QUICK, epochs=50, patience_epochs=2, selection_metric="loss", learning_rate=1e-2)
    summary = run(tmp_path, random_source(32, DIMS), random_labels(32), splits=SPLITS, config=config)
    assert summary.stopped_early
    assert summary.num_epochs == summary.selected_epoch + 2
    losses = [record.validation_loss or 0.0 for record in summary.history]
    assert summary.selected_epoch == 1 + int(np.argmin(losses))


def test_run_killed_after_its_best_epoch_keeps_that_epoch(tmp_path: Path) -> None:
    source, labels = random_source(32, DIMS), random_labels(32)
    config = replace(QUICK, epochs=6, selection_metric="loss", learning_rate=3e-2, patience_epochs=0, cache_megabytes=0)
    undisturbed = run(tmp_path / "whole", source, labels, splits=SPLITS, config=config)
    assert undisturbed.selected_epoch < 5
    with pytest.raises(KilledError):
        run(tmp_path / "cut", DyingSource(source, 5 * 32), labels, splits=SPLITS, config=config)
    resumed = run(tmp_path / "cut", source, labels, splits=SPLITS, config=config)
    assert resumed.selected_epoch == undisturbed.selected_epoch
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("validation", [NOBODY, np.arange(28, 32)])
def test_validation_that_tells_nothing_keeps_the_last_epoch(tmp_path: Path, validation: Indices) -> None:
    labels = random_labels(32)
    unknown = np.where(np.arange(32) < 28, labels.category, -1)
    labels = replace(labels, category=unknown, tags_known=np.arange(32) < 28)
    config = replace(QUICK, patience_epochs=1)
    splits = (np.arange(20), validation)
    summary = run(tmp_path, random_source(32, DIMS), labels, splits=splits, config=config)
    assert (summary.num_epochs, summary.selected_epoch, summary.validation_score) == (4, 4, None)
    assert load(tmp_path).info.validation_score is None


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    source, labels = random_source(32, DIMS), random_labels(32)
    with pytest.raises(DataError, match="no clip"):
        run(tmp_path, source, labels, splits=(NOBODY, NOBODY))
    unlabelled = replace(labels, category=np.full(32, -1), tags_known=np.zeros(32, bool))
    with pytest.raises(DataError, match="none of the 20 training clips"):
        run(tmp_path, source, unlabelled, splits=SPLITS)
    with pytest.raises(DataError, match="31 labels for 32 clips"):
        run(tmp_path, source, random_labels(31), splits=SPLITS)


def test_loss_that_explodes_is_an_error(tmp_path: Path) -> None:
    config = replace(QUICK, learning_rate=1e30, gradient_clip=0.0)
    with pytest.raises(SettingError, match="lower learning_rate"):
        run(tmp_path, random_source(32, DIMS), random_labels(32), splits=SPLITS, config=config)


def test_32_random_clips_are_learned_by_heart(tmp_path: Path) -> None:
    source, labels = random_source(32, DIMS, missing=0.1), random_labels(32)
    config = TrainConfig(
        epochs=60, batch_size=32, learning_rate=1e-2, weight_decay=0.0, label_smoothing=0.0, ema_decay=0.0
    )
    everyone = (np.arange(32), NOBODY)
    summary = run(tmp_path, source, labels, splits=everyone, network=SMALL_NETWORK, config=config)
    assert summary.history[-1].train_loss < 0.01
    predictions = predict(tmp_path, source, np.arange(32), feature_recipes=RECIPES)
    assert (predictions.category_scores.argmax(axis=1) == labels.category).all()
    assert ((predictions.tag_scores > 0.5) == labels.tags).all()


def test_random_labels_stay_at_chance(tmp_path: Path) -> None:
    source = random_source(640, {"frames": 10}, missing=0.0)
    generator = np.random.default_rng(3)
    tags = np.tile(np.arange(640) % 4 == 0, (4, 1)).T
    tags = np.column_stack([generator.permutation(column) for column in tags.T])
    labels = make_labels(np.full(640, -1), tags, num_categories=0)
    splits = (np.arange(60), NOBODY)
    config = replace(QUICK, epochs=15)
    run(tmp_path, source, labels, splits=splits, network=SMALL_NETWORK, config=config)
    recipes = {"frames": RECIPES["frames"]}
    predictions = predict(tmp_path, source, np.arange(60, 640), feature_recipes=recipes)
    precision = average_precision_per_class(predictions.tag_scores, tags[60:])
    # A quarter is chance; four tags over 580 clips scatter by about 0.015.
    assert precision.mean() == pytest.approx(0.25, abs=0.06)


def ordered_clips(num_clips: int, width: int) -> tuple[ListSource, npt.NDArray[np.bool_]]:
    """Clips of 5 to 8 steps in which one direction of the noise rises (True) or falls."""
    generator = np.random.default_rng(0)
    direction = generator.normal(size=width)
    rises = generator.random(num_clips) < 0.5
    clips = []
    for rising in rises:
        ramp = np.linspace(-1, 1, int(generator.integers(5, 9))) * (1 if rising else -1)
        level = generator.normal(size=width)
        steps = level + 0.5 * ramp[:, None] * direction + generator.normal(size=(len(ramp), width))
        clips.append({"frames": steps.astype(np.float16)})
    return ListSource(clips, {"frames": width}), rises


@pytest.mark.parametrize(("aggregator", "lowest", "highest"), [("trn", 0.9, 1.0), ("mean", 0.35, 0.65)])
def test_order_of_frames_is_learned_by_trn_and_hidden_from_a_mean(
    tmp_path: Path, aggregator: str, lowest: float, highest: float
) -> None:
    source, rises = ordered_clips(370, width=320)
    labels = make_labels(np.full(370, -1), rises[:, None], num_categories=0)
    network = NetworkConfig(frames_aggregator=aggregator, trn_width=64)
    config = TrainConfig(epochs=12, patience_epochs=0)
    splits = (np.arange(170), NOBODY)
    run(tmp_path, source, labels, splits=splits, network=network, config=config)
    recipes = {"frames": RECIPES["frames"]}
    predictions = predict(tmp_path, source, np.arange(170, 370), feature_recipes=recipes)
    (precision,) = average_precision_per_class(predictions.tag_scores, labels.tags[170:])
    assert lowest <= precision <= highest


def test_predictions_keep_the_order_whatever_the_batch(tmp_path: Path) -> None:
    source = random_source(32, DIMS)
    run(tmp_path, source, random_labels(32), splits=SPLITS)
    indices = np.array([31, 4, 4, 17, 0])
    told: list[int] = []
    whole = predict(tmp_path, source, indices, feature_recipes=RECIPES, batch_size=2, on_batch=told.append)
    assert told == [2, 2, 1]
    chunks = list(Predictor.load([tmp_path], DIMS, RECIPES).batches(source, indices, batch_size=3))
    assert [len(chunk) for chunk in chunks] == [3, 2]
    for name in ("category_scores", "tag_scores", "embedding"):
        joined = np.concatenate([getattr(chunk, name) for chunk in chunks])
        assert joined.dtype == np.float32
        np.testing.assert_allclose(joined, getattr(whole, name), atol=1e-5)
    np.testing.assert_allclose(whole.category_scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whole.embedding, axis=1), 1, atol=1e-5)
    assert ((whole.tag_scores > 0) & (whole.tag_scores < 1)).all()


def test_predictions_of_no_clip_and_of_a_network_without_categories(tmp_path: Path) -> None:
    source, labels = random_source(32, DIMS), replace(random_labels(32), category=np.full(32, -1))
    run(tmp_path, source, replace(labels, category_names=()), splits=SPLITS)
    empty = predict(tmp_path, source, NOBODY, feature_recipes=RECIPES)
    assert (empty.category_scores.shape, empty.tag_scores.shape, empty.embedding.shape) == (
        (0, 0),
        (0, 4),
        (0, 16),
    )
    some = predict(tmp_path, source, np.arange(3), feature_recipes=RECIPES)
    assert (some.category_scores.shape, some.tag_scores.shape) == ((3, 0), (3, 4))


def test_predictions_from_other_features_are_refused(tmp_path: Path) -> None:
    source = random_source(32, DIMS)
    run(tmp_path, source, random_labels(32), splits=SPLITS)
    with pytest.raises(CheckpointError, match="audio features were made otherwise"):
        predict(tmp_path, source, np.arange(2), feature_recipes={**RECIPES, "audio": "another"})
    wider = random_source(2, {**DIMS, "frames": 11})
    with pytest.raises(CheckpointError, match="width of frames"):
        predict(tmp_path, wider, np.arange(2), feature_recipes=RECIPES)
