"""Folds and ensembles through the command that people type, on a small embedded corpus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from features.formats.prediction_shard import join_predictions, read_predictions
from features.manifests.corpus import read_splits
from models.prediction.predict import predict
from tests.pipeline.learning import ablation_settings, accuracy_of, clips_of, metrics_of, records_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.end_to_end.run import Workplace


@pytest.mark.slow
def test_each_fold_is_scored_by_the_network_that_has_not_seen_it(place: Workplace) -> None:
    folder = place.root / "crossvalidate" / "latest"
    shards = [read_predictions(folder / f"fold-{number}.h5") for number in range(2)]
    splits = read_splits(place.root / "manifest" / "latest")
    metrics, records = metrics_of(place, "crossvalidate"), records_of(place)

    scored = [clip_id for shard in shards for clip_id in shard.clip_ids]
    assert sorted(scored) == sorted(name for name, split in splits.items() if split != "test")
    folds = metrics["folds"]
    assert isinstance(folds, list)
    clips = clips_of(place)
    accuracies = []
    for number, (row, shard) in enumerate(zip(folds, shards, strict=True)):
        rows = range(row["num_clips"])
        held_out = np.array([clips.clip_ids.index(clip_id) for clip_id in shard.clip_ids])
        checkpoint = place.root / f"train-fold-{number}" / "latest"
        # What is calibrated there was fitted to these clips.
        assert (checkpoint / "calibration.json").exists()
        own = predict(checkpoint, clips, held_out, feature_recipes=clips.recipes(), calibrated=False)
        # The command computes with one thread, the test with any.
        np.testing.assert_allclose(shard.category_scores, own.category_scores, atol=1e-6)
        np.testing.assert_allclose(shard.tag_scores, own.tag_scores, atol=1e-6)
        np.testing.assert_allclose(shard.embedding, own.embedding, atol=1e-5)
        accuracies.append(accuracy_of(shard, records, rows))
        assert row["category"]["accuracy"] == pytest.approx(accuracies[-1])
    mean = metrics["mean"]
    assert isinstance(mean, dict)
    low, high = stats.t.interval(0.95, 1, loc=np.mean(accuracies), scale=stats.sem(accuracies))
    found = mean["category"]["accuracy"]
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((np.mean(accuracies), low, high))
    output = (place.folder / "output.txt").read_text(encoding="utf-8")
    assert f"{found['mean']:.3f} ± {found['high'] - found['mean']:.3f}" in output
    assert "Nothing is calibrated" in output
    assert str(metrics["about"]) in output


@pytest.mark.slow
def test_an_ensemble_of_folds_predicts_the_mean_of_its_networks(place: Workplace) -> None:
    place.configure({**ablation_settings(place), "evaluate": {"ablation": "true"}})
    done = place.luigi("RunAll")
    assert done.returncode == 0, done.stdout

    assert "train-fold-0    done" not in done.stdout
    shard = join_predictions(
        [read_predictions(path) for path in sorted((place.root / "predict" / "latest").glob("*.h5"))]
    )
    clips = clips_of(place)
    every = np.arange(len(clips))
    folders = [place.root / f"train-fold-{number}" / "latest" for number in range(2)]
    members = [predict(folder, clips, every, feature_recipes=clips.recipes()) for folder in folders]
    expected: npt.NDArray[np.float64] = np.mean([member.category_scores for member in members], axis=0)
    np.testing.assert_allclose(shard.category_scores, expected, atol=1e-6)
    splits, records = read_splits(place.root / "manifest" / "latest"), records_of(place)
    rows = [row for row, clip_id in enumerate(shard.clip_ids) if splits[clip_id] == "test"]
    category = metrics_of(place, "evaluate")["category"]
    assert isinstance(category, dict)
    assert category["accuracy"] == pytest.approx(accuracy_of(shard, records, rows))
    assert metrics_of(place, "evaluate")["learned_from"] == {"model": ["train", "validation"], "baselines": ["train"]}
    fitted = [json.loads((folder / "calibration.json").read_text(encoding="utf-8")) for folder in folders]
    thresholds: npt.NDArray[np.float64] = np.mean([row["tag_thresholds"] for row in fitted], axis=0)
    lines = (place.root / "predict" / "latest" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    given = [set(json.loads(line)["given_tags"]) for line in lines]
    above = shard.tag_scores >= thresholds
    assert given == [{shard.tags[column] for column in np.flatnonzero(row)} for row in above]
    assert above.any()
    report = (place.root / "evaluate" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "Differences to default" in report
    assert "learned from the train split only" in report
    assert not any(line.split()[:2] == ["train", "done"] for line in done.stdout.splitlines())
