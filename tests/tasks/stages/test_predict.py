"""A given checkpoint is compared with the features to come before anything runs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch

from models.prediction.predict import Predictor
from tasks.core.receipts import FileReceipt, Success
from tasks.stages import predict as predict_module
from tasks.stages.extract import Extract
from tasks.stages.predict import Predict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from features.formats.sharded_clips import ShardedClips
    from tasks.core.progress import Progress
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
    """Return the stages that would run before Predict, where nothing stands in the way."""
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


def test_a_checkpoint_that_does_not_tell_is_left_to_whoever_loads_it(configure: Configure, checkpoint: Path) -> None:
    (checkpoint / "model.json").write_text("{", encoding="utf-8")
    assert "extract-frames" in _asked_before_it_runs(configure, checkpoint)
