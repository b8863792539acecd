"""A given checkpoint is compared with the features to come before anything runs."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch

from features.formats.prediction_shard import PredictionShard
from models.prediction.predict import Predictor
from tasks.core.receipts import FileReceipt, Success
from tasks.stages import predict as predict_module
from tasks.stages.extract import Extract
from tasks.stages.predict import Predict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from features.formats.sharded_clips import ShardedClips
    from tasks.core.console import Progress
    from tasks.core.sharded import ShardJob

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

MODALITIES = ("frames", "audio")


@pytest.fixture
def checkpoint(configure: Configure, tmp_path: Path) -> Path:
    """The beginning of a checkpoint that was trained with the default settings."""
    configure({})
    recipes = {name: {**Extract(modality=name).recipe(), "weights_sha256": "abc"} for name in MODALITIES}
    description = {
        "modality_dims": [[name, 4] for name in MODALITIES],
        "feature_recipes": {name: json.dumps(recipe) for name, recipe in recipes.items()},
    }
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def _asked_before_it_runs(configure: Configure, checkpoint: Path, **sections: Mapping[str, str]) -> set[str]:
    """Return the stages that would run before Predict, where nothing prevents it."""
    configure({"predict": {"checkpoint": str(checkpoint)}, **sections})
    return {stage.stage_name for stage in Predict().deps()}


def test_features_of_the_same_settings_are_taken_and_more_of_them_too(configure: Configure, checkpoint: Path) -> None:
    stages = {"extract-frames", "extract-audio", "extract-cover", "extract-text"}
    assert _asked_before_it_runs(configure, checkpoint) == stages
    other_ways = {"batch_size": "3", "runtime": "torch"}
    assert _asked_before_it_runs(configure, checkpoint, extract_frames=other_ways) == stages


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"decode": {"frames_per_second": "1"}}, "decode.frames_per_second is 1.0 instead of 2.0; use those settings"),
        ({"extract_audio": {"window_seconds": "2"}}, "extract.window_seconds is 2.0 instead of 1.0"),
        ({"features": {"modalities": "frames, text"}}, "needs audio, which [features] modalities leaves out"),
    ],
)
def test_others_are_refused_by_the_name_of_the_setting(
    configure: Configure,
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    sections: dict[str, dict[str, str]],
    told: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _asked_before_it_runs(configure, checkpoint, **sections)
    assert stopped.value.code == 40
    printed = capsys.readouterr()
    assert told in printed.out + printed.err


def test_the_networks_are_loaded_once_for_all_shards(
    configure: Configure, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[object, ...]] = []
    used: list[object] = []

    def load(*args: object, device: str) -> object:
        loaded.append((*args, device))
        return f"networks {len(loaded)}"

    def score(_: Predict, job: object, path: object, *, predictor: object, on_batch: object) -> None:
        used.append(predictor)

    clips = SimpleNamespace(modality_dims={"audio": 4}, recipes=lambda: {"audio": "recipe"})
    monkeypatch.setattr(predict_module, "open_clips", lambda: clips)
    monkeypatch.setattr(Predictor, "load", load)
    monkeypatch.setattr(Predict, "_score", score)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    configure({"predict": {"checkpoint": str(checkpoint), "device": "auto"}})
    progress = cast("Progress", SimpleNamespace(advance=None))
    with Predict().shard_builder(progress) as build:
        for number in range(3):
            build(cast("ShardJob", number), checkpoint)

    assert loaded == [((checkpoint,), {"audio": 4}, {"audio": "recipe"}, "cuda:0")]
    assert used == ["networks 1"] * 3


def test_scores_before_calibration_that_were_not_kept_are_predicted_on_the_device_of_the_settings(
    configure: Configure, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []

    class Loaded:
        def predict(self, clips: object, positions: object, *, batch_size: int) -> object:
            return SimpleNamespace(uncalibrated_category_scores=(clips, positions, batch_size))

    def load(*_: object, device: str) -> Loaded:
        devices.append(device)
        return Loaded()

    clips = SimpleNamespace(modality_dims={"audio": 4}, recipes=lambda: {"audio": "recipe"})
    monkeypatch.setattr(predict_module, "open_clips", lambda: clips)
    monkeypatch.setattr(Predictor, "load", load)
    # Of an earlier version: a shard without a file beside it.
    receipt = FileReceipt("shard-00000.h5", 1, "", 3, "key")
    success = Success("predict", "f", {}, (receipt,), {}, {}, "now", 1.0, 1)
    monkeypatch.setattr(Predict, "published_success", lambda _: success)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    configure({"predict": {"checkpoint": str(checkpoint), "device": "auto", "batch_size": "7"}})
    source = cast("ShardedClips", "clips")

    assert Predict().uncalibrated_scores(source, np.arange(2)) is None
    (checkpoint / "calibration.json").write_text("{}", encoding="utf-8")
    found = cast("tuple[object, ...]", Predict().uncalibrated_scores(source, np.arange(2)))
    assert found[0] == "clips"
    assert found[2] == 7
    assert [device.partition(":")[0] for device in devices] == ["cuda"]


def test_where_it_computes_changes_no_identity(configure: Configure, checkpoint: Path) -> None:
    configure({"predict": {"checkpoint": str(checkpoint)}})
    before = Predict().fingerprint
    configure({"predict": {"checkpoint": str(checkpoint), "device": "cpu"}})
    assert Predict().fingerprint == before


def test_a_checkpoint_without_recipes_is_checked_when_it_is_loaded(configure: Configure, checkpoint: Path) -> None:
    (checkpoint / "model.json").write_text("{", encoding="utf-8")
    assert "extract-frames" in _asked_before_it_runs(configure, checkpoint)


def test_the_error_of_a_folder_without_a_checkpoint_has_the_way_out(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure({"predict": {"checkpoint": str(tmp_path / "nowhere")}})
    with pytest.raises(SystemExit) as stopped:
        Predict()
    assert stopped.value.code == 40
    assert capsys.readouterr().err == (
        f"error: no checkpoint in {tmp_path}/nowhere (model.json: No such file or directory): let [predict] checkpoint"
        " name a folder that holds one, such as runs/train/latest\n"
    )


def test_the_content_of_a_checkpoint_is_identity_and_its_place_is_not(
    configure: Configure, checkpoint: Path, tmp_path: Path
) -> None:
    def fingerprint(folder: Path) -> str:
        configure({"predict": {"checkpoint": str(folder)}})
        return Predict().fingerprint

    before = fingerprint(checkpoint)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(checkpoint, elsewhere)
    assert fingerprint(elsewhere) == before
    (elsewhere / "history.jsonl").write_text("an epoch", encoding="utf-8")
    assert fingerprint(elsewhere) == before
    # What the scores are a function of counts: the weights, and how they are calibrated.
    (elsewhere / "calibration.json").write_text("{}", encoding="utf-8")
    calibrated = fingerprint(elsewhere)
    (elsewhere / "model.safetensors").write_bytes(b"other weights")
    assert len({before, calibrated, fingerprint(elsewhere)}) == 3


def test_how_many_labels_are_listed_is_identity_and_not_in_the_shards(configure: Configure, checkpoint: Path) -> None:
    configure({"predict": {"checkpoint": str(checkpoint)}})
    before, key = Predict().fingerprint, Predict().key_settings()
    configure({"predict": {"checkpoint": str(checkpoint), "top_k": "3"}})
    assert Predict().fingerprint != before
    assert Predict().key_settings() == key == {"checkpoint": Predict().checkpoint_digest()}


def test_a_given_checkpoint_needs_no_training(configure: Configure, checkpoint: Path) -> None:
    features = {"extract-frames", "extract-audio", "extract-cover", "extract-text"}
    configure({"ensemble": {"folds": "2"}})
    assert set(Predict().inputs()) == {"train-fold-0", "train-fold-1", *features}
    assert len(Predict().checkpoints()) == 2
    configure({"ensemble": {"folds": "2"}, "predict": {"checkpoint": str(checkpoint)}})
    assert set(Predict().inputs()) == features
    assert Predict().checkpoints() == (checkpoint,)
    # A sharded input for each modality, by its own name.
    assert list(Predict().shard_inputs()) == ["frames", "audio", "cover", "text"]


def test_a_clip_without_any_features_is_partial() -> None:
    clips = SimpleNamespace(clip_ids=("a", "b"), has_features=lambda position: position == 0)

    found = [predict_module._outcome(cast("ShardedClips", clips), position) for position in range(2)]

    assert [(row.clip_id, row.status, row.code) for row in found] == [("a", "ok", ""), ("b", "partial", "no_features")]


@pytest.mark.parametrize("text", ["", "{}", '{"modality_dims": [["frames", 4]]}', "[]", '{"modality_dims": 3}'])
def test_a_description_without_recipes_gives_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text, encoding="utf-8")
    assert predict_module._trained_recipes(path) == {}
    assert predict_module._trained_recipes(tmp_path / "nowhere.json") == {}


def test_the_best_labels_and_the_given_tags_of_each_clip_are_listed(configure: Configure, tmp_path: Path) -> None:
    configure({"predict": {"top_k": "2"}})
    shard = PredictionShard(
        ("a", "b"),
        ("x", "y", "z"),
        ("p", "q"),
        np.array([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]], np.float32),
        np.array([[0.9, 0.4], [0.1, 0.6]], np.float32),
        np.zeros((2, 0), np.float32),
    )

    # Without a calibration a tag is given from one half on.
    rows = list(predict_module._lines(shard, [tmp_path]))

    assert [row["clip_id"] for row in rows] == ["a", "b"]
    assert rows[0]["categories"] == [("y", 0.7), ("x", 0.2)]
    assert rows[1]["tags"] == [("q", 0.6), ("p", 0.1)]
    assert [row["given_tags"] for row in rows] == [["p"], ["q"]]
    assert list(rows[0]) == ["clip_id", "categories", "tags", "given_tags"]
