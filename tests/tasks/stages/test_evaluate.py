"""Evaluate: what it reads, which failures the report lists, and what is told of each stage."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from features.base.outcomes import Outcome
from tasks.config.run import settings
from tasks.stages import evaluate as evaluate_module
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.evaluate import METRICS_NAME, REPORT_NAME, Evaluate, stage_summaries, stages_with_outcomes
from tasks.stages.manifest import Manifest
from tests.tasks.stages.small import ok, publish, publish_manifest, shards, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from features.formats.prediction_shard import PredictionShard
    from models.evaluation.evaluate import SplitEvaluation
    from tests.tasks.stages.small import Configure

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.mark.parametrize(
    ("sections", "added", "missing"),
    [
        ({}, set(), set()),
        ({"decode": {"store": "false"}}, set(), {"decode"}),
        ({"ensemble": {"folds": "2"}}, {"train-fold-0", "train-fold-1"}, {"train"}),
        ({"ensemble": {"seeds": "2"}}, {"train-seed-1"}, set()),
        ({"evaluate": {"ablation": "true"}}, {"ablation"}, set()),
        ({"predict": {"checkpoint": "CHECKPOINT"}}, set(), {"train"}),
        ({"ocr": {"backbone": "rapidocr:PP-OCRv6"}}, {"recognize-ocr"}, set()),
        ({"features": {"modalities": "text"}}, set(), {"extract-frames", "extract-audio", "extract-cover"}),
    ],
)
def test_everything_that_the_report_shows_is_an_input(
    configure: Configure,
    tmp_path: Path,
    sections: dict[str, dict[str, str]],
    added: set[str],
    missing: set[str],
) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    places = {"CHECKPOINT": str(tmp_path)}
    configure({name: {key: places.get(text, text) for key, text in own.items()} for name, own in sections.items()})
    usual = {
        "manifest", "download", "decode", "extract-frames", "extract-audio", "extract-cover", "extract-text", "train",
        "predict",
    }  # fmt: skip

    inputs = Evaluate().inputs()

    assert set(inputs) == (usual | added) - missing
    assert all(stage.stage_name == name for name, stage in inputs.items())
    assert Evaluate().requires() == list(inputs.values())


def test_only_what_is_measured_and_shown_is_its_own_identity(configure: Configure) -> None:
    assert dict(Evaluate().identity_settings()) == {"split": "test", "num_pictures": 12, "ablation": False}
    before = Evaluate().fingerprint
    configure({"predict": {"batch_size": "3", "device": "cpu"}})
    assert Evaluate().fingerprint == before
    configure({"evaluate": {"split": "validation"}})
    assert Evaluate().fingerprint != before


@pytest.fixture
def published_stages(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages up to Extract with failures: clip b everywhere, clip d in one, clip e in part."""
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    publish_manifest(configure, write_manifest(tmp_path / "corpus"), features={"modalities": "audio, text"})
    gone = Outcome("b", "failed", "http_404", "gone")
    publish(Download(), {**shards(".jsonl"), "shard-00000.jsonl": [*ok("a"), gone]})
    below = {**shards(".tar"), "shard-00000.tar": [*ok("a"), gone], "shard-00002.tar": [Outcome("e", "partial", "cut")]}
    publish(Decode(), below, seconds=7.5)
    for stage in stages_with_outcomes()[2:]:
        rows = {name.replace(".tar", ".h5"): outcomes for name, outcomes in below.items()}
        failed = [*ok("c"), Outcome("d", "failed", "non_finite_features")]
        publish(stage, {**rows, "shard-00001.h5": failed if stage.stage_name == "extract-audio" else ok("c", "d")})


def test_stages_that_keep_an_account_are_listed_as_they_run(published_stages: None) -> None:
    names = [stage.stage_name for stage in stages_with_outcomes()]
    assert names == ["download", "decode", "extract-audio", "extract-text"]


def test_a_clip_that_fails_in_all_stages_is_listed_once(published_stages: None) -> None:
    listed, count = Evaluate()._failures()

    assert [(row.clip_id, row.stage, row.code) for row in listed] == [
        ("b", "download", "http_404"),
        ("e", "decode", "cut"),
        ("d", "extract-audio", "non_finite_features"),
    ]
    assert listed[0].detail == "gone"
    assert count == 3


def test_a_long_list_of_failures_is_cut_and_still_counted(
    published_stages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_module, "MAX_LISTED_FAILURES", 2)
    listed, count = Evaluate()._failures()
    assert (len(listed), count) == (2, 3)
    # A receipt that is gone tells nothing and is no error.
    (Download().folder / "shard-00000.receipt.json").unlink()
    (Decode().folder / "shard-00000.receipt.json").unlink()
    _, count = Evaluate()._failures()
    assert count == 3


def test_each_stage_is_summed_up_after_the_manifest(published_stages: None) -> None:
    rows = stage_summaries()

    assert [row.stage for row in rows] == ["manifest", "download", "decode", "extract-audio", "extract-text"]
    assert (rows[0].num_clips, rows[0].num_ok, rows[0].num_failed) == (5, 5, 0)
    assert rows[0].reasons == Manifest().published_success().facts["rejected"]
    decode = rows[2]
    assert (decode.num_clips, decode.num_ok, decode.num_partial, decode.num_failed) == (5, 3, 1, 1)
    assert decode.reasons == {"http_404": 1, "cut": 1}
    assert decode.seconds == 7.5


def test_metrics_hold_the_model_and_its_baselines_and_the_report_is_only_a_record(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_manifest(configure, write_manifest(tmp_path / "corpus"))
    model = {"category": {"accuracy": 0.5}, "tags": None, "num_evaluated": {"category": 1}}
    found = SimpleNamespace(
        model=model, baselines={"majority": {**model, "category": {"accuracy": 0.25}}}, calibration=None
    )

    def write_report(self: Evaluate, *_: object) -> None:
        (self.folder / REPORT_NAME).write_text("a report", encoding="utf-8")

    monkeypatch.setattr(Evaluate, "_predictions", lambda _: cast("PredictionShard", None))
    monkeypatch.setattr(Evaluate, "_measure", lambda _, __: cast("SplitEvaluation", found))
    monkeypatch.setattr(Evaluate, "_write_report", write_report)
    stage = Evaluate()
    stage.folder.mkdir(parents=True)

    receipts, built, facts = stage.build()

    metrics = json.loads((stage.folder / METRICS_NAME).read_text(encoding="utf-8"))
    assert metrics == {
        **model,
        "split": "test",
        "num_clips": stage.corpus.splits.count("test"),
        "calibration": None,
        "learned_from": {"model": ["train"], "baselines": ["train"]},
        "baselines": {"majority": {**model, "category": {"accuracy": 0.25}}},
    }
    assert [(item.name, item.is_record) for item in receipts] == [(METRICS_NAME, False), (REPORT_NAME, True)]
    assert built == 2
    assert facts == {
        "model": {"category": {"accuracy": 0.5}, "tags": None},
        "majority": {"category": {"accuracy": 0.25}, "tags": None},
    }


def test_the_report_shows_the_settings_that_change_the_output_and_no_place(configure: Configure) -> None:
    configure({"decode": {"frames_per_second": "3", "workers": "7"}, "corpus": {"manifest": "/my/clips.jsonl"}})
    shown = evaluate_module._shown_settings()

    assert "paths" not in shown
    assert shown["decode"]["frames_per_second"] == "3.0"
    assert "workers" not in shown["decode"]
    assert {"extract_frames", "network", "train"} <= set(shown)
    assert set(shown) == set(settings().sections()) - {"paths"}
    assert "manifest" not in shown["corpus"]
    assert evaluate_module._corpus_name() == "/my/clips.jsonl"
    configure({})
    assert evaluate_module._corpus_name() == "the embedded sample corpus"
