"""Train: what it learns from, what it keeps of a training that was killed, and what later stages read of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from features.base.errors import SettingError, SourceError
from features.formats.records import ClipRecord
from features.manifests.corpus import read_records, read_splits
from models.config.artifacts import RESUME_NAME
from models.training.train import TrainSummary
from tasks.config.run import forget_run, settings
from tasks.stages import train as train_module
from tasks.stages.dataset import extract_stages, read_labelled_corpus, shard_paths
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.extract import Extract
from tasks.stages.manifest import Manifest
from tasks.stages.train import Train, fold_stages, train_stages
from tasks.training.training_job import TrainingData, TrainingFacts, TrainingPlan
from tests.tasks.stages.small import CLIPS, publish, publish_manifest, shards, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.config.training import TrainConfig
    from tests.tasks.stages.small import Configure

NUM_CLIPS = 12


pytestmark = pytest.mark.usefixtures("in_this_process")


def test_records_are_parsed_once_for_splits_and_labels(
    configure: Callable[[Mapping[str, Mapping[str, str]]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "clips.jsonl"
    rows = [{"id": f"clip-{i}", "url": f"https://host.test/{i}.mp4", "category": "ab"[i % 2]} for i in range(NUM_CLIPS)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    configure({"corpus": {"manifest": str(manifest)}, "manifest": {"min_clips_per_label": "1"}})
    Manifest().run()
    monkeypatch.setattr(train_module, "shard_paths", dict)
    num_parsed = 0
    parse = ClipRecord.from_line

    def count(line: str) -> ClipRecord:
        nonlocal num_parsed
        num_parsed += 1
        return parse(line)

    monkeypatch.setattr(ClipRecord, "from_line", count)
    data = Train().training_data()
    assert data.labels.category_names == ("a", "b")
    assert num_parsed == NUM_CLIPS

    # A process that gets the data as a file reads the records itself, and finds the same labels.
    data.write(tmp_path / "data.json")
    other = TrainingData.read(tmp_path / "data.json")
    np.testing.assert_array_equal(other.labels.category, data.labels.category)
    assert num_parsed == 2 * NUM_CLIPS


SUMMARY = TrainSummary(1234, 3, 2, 0.5, stopped_early=True, seconds=6.0, history=())


@pytest.fixture
def ready(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The manifest of a corpus whose embeddings of two modalities are published."""
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    path = write_manifest(tmp_path / "corpus")
    _publish_features(configure, path)
    return path


def _publish_features(configure: Configure, path: Path, **sections: Mapping[str, str]) -> None:
    publish_manifest(configure, path, features={"modalities": "text, audio"}, **sections)
    for stage in (Download(), Decode(), *extract_stages().values()):
        publish(stage, shards(stage.suffix))


@pytest.fixture
def trained(ready: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[TrainingData, TrainingPlan]]:
    """Train without a network; return what each training was given."""
    given: list[tuple[TrainingData, TrainingPlan]] = []

    def train_here(data: TrainingData, plan: TrainingPlan, on_epoch: Callable[[object], None]) -> TrainSummary:
        given.append((data, plan))
        for name in ("model.json", "model.safetensors", "calibration.json", "network.svg", "history.jsonl"):
            (plan.folder / name).write_text(f"{name} {plan.train.seed}", encoding="utf-8")
        (plan.folder / RESUME_NAME).write_text("after epoch 3", encoding="utf-8")
        on_epoch(None)
        return SUMMARY

    monkeypatch.setattr(train_module, "train_here", train_here)
    monkeypatch.setattr(train_module, "check_machine", lambda _: None)
    return given


def test_a_training_is_given_the_shards_of_every_modality_in_their_order(
    trained: list[tuple[TrainingData, TrainingPlan]],
) -> None:
    Train().run()

    ((data, plan),) = trained
    # The order of the settings is that of the fusion.
    assert list(data.shards) == ["text", "audio"]
    for modality, paths in data.shards.items():
        folder = Extract(modality=modality).folder
        assert paths == tuple(folder / f"shard-0000{number}.h5" for number in range(3))
    assert data.records == tuple(Manifest().folder / f"shard-0000{number}.jsonl" for number in range(3))
    assert sorted(set(data.splits)) == ["test", "train", "validation"]
    assert len(data.splits) == len(CLIPS)
    assert plan == TrainingPlan(settings().network, settings().train, Train().folder)


def test_files_that_only_document_the_training_are_marked_as_records(
    trained: list[tuple[TrainingData, TrainingPlan]],
) -> None:
    Train().run()
    found = Train().published_success()

    assert {item.name: item.is_record for item in found.files} == {
        "model.json": False, "model.safetensors": False, "calibration.json": False, "network.svg": True,
        "history.jsonl": True,
    }  # fmt: skip
    assert found.by_name()["history.jsonl"].rows == 3
    assert found.facts == {
        "epochs": 3, "selected_epoch": 2, "validation_score": 0.5, "parameters": 1234, "stopped_early": True
    }  # fmt: skip
    assert Train.is_training


def test_a_killed_training_goes_on_unless_it_saw_other_features_or_is_forced(
    configure: Configure, ready: Path, trained: list[tuple[TrainingData, TrainingPlan]]
) -> None:
    stage = Train()
    stage.run()
    resume = stage.folder / RESUME_NAME

    def goes_on(force: str = "") -> bool:
        """Return whether the rest of a killed training is left for the next one."""
        task = Train(force=force)
        resume.write_text("after epoch 1", encoding="utf-8")
        task._forget_other_training()
        return resume.exists()

    assert goes_on()
    assert goes_on()
    assert not goes_on("Train")
    forget_run()
    shard = Extract(modality="text").folder / "shard-00000.h5"
    shard.write_bytes(b"other features")
    publish(Extract(modality="text"), shards(".h5"))
    assert not goes_on()
    assert goes_on()
    (stage.folder / "resume.inputs").unlink()
    assert not goes_on()


def test_members_learn_from_splits_and_seeds_of_their_own(
    configure: Configure, ready: Path, trained: list[tuple[TrainingData, TrainingPlan]]
) -> None:
    _publish_features(configure, ready, ensemble={"folds": "2"}, train={"seed": "5"})
    for stage in fold_stages().values():
        stage.run()
    first, second = (data.splits for data, _ in trained)
    assert {plan.train.seed for _, plan in trained} == {5}
    for one, other in zip(first, second, strict=True):
        assert {one, other} in ({"test"}, {"train", "validation"})
    assert [plan.folder.parent.name for _, plan in trained] == ["train-fold-0", "train-fold-1"]
    trained.clear()

    _publish_features(configure, ready, ensemble={"seeds": "2"}, train={"seed": "5"})
    for stage in train_stages().values():
        stage.run()
    assert [plan.train.seed for _, plan in trained] == [5, 6]
    assert trained[0][0].splits == trained[1][0].splits


def test_several_processes_train_where_the_settings_ask_for_them(
    configure: Configure, ready: Path, trained: list[tuple[TrainingData, TrainingPlan]], monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[tuple[int, TrainingPlan]] = []

    def train_together(
        data: TrainingData, plan: TrainingPlan, number: int, on_epoch: Callable[[], None]
    ) -> TrainingFacts:
        together.append((number, plan))
        on_epoch()
        (plan.folder / "model.safetensors").write_text("as before", encoding="utf-8")
        return TrainingFacts.of(SUMMARY)

    monkeypatch.setattr(train_module, "train_together", train_together)
    Train().run()
    assert together == []
    alone = Train().folder
    _publish_features(configure, ready, train={"num_processes": "3"})
    # It changes no result, so nothing runs for it.
    assert Train().folder == alone
    assert Train().complete()
    (alone / "model.safetensors").unlink()
    Train().run()
    assert together == [(3, TrainingPlan(settings().network, settings().train, alone))]


def test_a_machine_without_what_is_asked_for_costs_no_published_file(
    trained: list[tuple[TrainingData, TrainingPlan]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Train()
    stage.run()
    before = {path.name: path.read_bytes() for path in stage.folder.iterdir()}

    def refuse(config: TrainConfig) -> None:
        raise SettingError("[train] num_processes is 40")

    monkeypatch.setattr(train_module, "check_machine", refuse)
    monkeypatch.setattr(Train, "complete", lambda _: False)
    with pytest.raises(SettingError, match="num_processes is 40"):
        stage.run()
    assert {path.name: path.read_bytes() for path in stage.folder.iterdir()} == before
    assert len(trained) == 1


def test_shards_of_a_stage_that_is_not_complete_are_refused(ready: Path) -> None:
    (Extract(modality="audio").folder / "_SUCCESS.json").unlink()
    with pytest.raises(SourceError, match=r"extract-audio.* is not complete: run Extract first"):
        shard_paths()


def test_a_labelled_corpus_is_in_the_order_of_its_records(ready: Path) -> None:
    corpus = read_labelled_corpus(Manifest())

    assert [record.clip_id for record in corpus.records] == list(CLIPS)
    assert [record.clip_id for path in Manifest().shard_paths() for record in read_records(path)] == list(CLIPS)
    names = corpus.labels.category_names
    assert [names[label] if label >= 0 else "" for label in corpus.labels.category] == [
        name if name in names else "" for name in ("x", "y", "x", "y", "x")
    ]
    splits = read_splits(Manifest().folder)
    assert corpus.splits == [splits[clip] for clip in CLIPS]
