"""One parse of the settings a run, one question a stage, and ``--force`` as a property of the run."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from typing import TYPE_CHECKING

import luigi
import luigi.configuration
import pytest

from features.base.errors import SettingError
from pipeline.workflow import RunAll, chain
from tasks.config.run import current_run, force_stages, forget_run, refresh, settings
from tasks.config.schema import SECTIONS
from tasks.core.receipts import SUCCESS_NAME
from tasks.core.stage import Stage
from tasks.stages.extract import Extract
from tasks.stages.manifest import Manifest, SampleCorpus
from tasks.stages.train import Train
from tests.tasks.conftest import run_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.queues import SimpleQueue
    from pathlib import Path

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

ONCE = {"all": 1, **dict.fromkeys(SECTIONS, 1)}
BELOW_TRAIN = ["train", "predict", "evaluate"]
NAMES = [
    "sample", "manifest", "download", "decode", "extract-frames", "extract-audio", "extract-cover", "extract-text",
    *BELOW_TRAIN,
]  # fmt: skip


def _set(section: str, key: str, value: str) -> None:
    """Change Luigi's configuration as a notebook does, without telling this program."""
    luigi.configuration.get_config().set(section, key, value)


def _build(*tasks: luigi.Task) -> bool:
    return bool(luigi.build([*tasks], local_scheduler=True, log_level="WARNING"))


def test_a_whole_chain_of_fingerprints_takes_one_parse_of_every_section(built: list[str], parses: Counter[str]) -> None:
    assert len({stage.fingerprint for stage in chain()}) == len(NAMES)

    assert parses == ONCE


def test_asking_a_finished_root_takes_one_parse_of_every_section(finished: list[str], parses: Counter[str]) -> None:
    assert RunAll().complete()
    assert RunAll().complete()

    assert parses == ONCE


@pytest.mark.parametrize("force", ["", "Train"])
def test_one_question_visits_each_stage_once(finished: list[str], monkeypatch: pytest.MonkeyPatch, force: str) -> None:
    asked: Counter[str] = Counter()
    forced: Counter[str] = Counter()
    whole, is_forced = Stage._is_complete, Stage.is_forced

    def count_complete(self: Stage, answers: dict[Stage, bool]) -> bool:
        asked[self.stage_name] += 1
        return whole(self, answers)

    def count_forced(self: Stage) -> bool:
        forced[self.stage_name] += 1
        return is_forced(self)

    monkeypatch.setattr(Stage, "_is_complete", count_complete)
    monkeypatch.setattr(Stage, "is_forced", count_forced)
    task = RunAll(force=force)

    assert task.complete() == (not force)

    expected = NAMES if not force else NAMES[: NAMES.index("train") + 1]
    assert asked == dict.fromkeys(expected, 1)
    # Once for the stage itself and once for each stage that reads it, not once a path through the graph.
    assert forced["sample"] <= 2
    assert sum(forced.values()) <= sum(len(stage.inputs()) + 1 for stage in chain())


def test_an_input_that_is_rebuilt_between_two_questions_is_seen(finished: list[str]) -> None:
    task, train = RunAll(), Train()
    assert task.complete()
    assert train.complete()
    shard = Extract(modality="audio").folder / "shard-00000.h5"
    content = shard.read_bytes()
    shard.unlink()

    assert not task.complete()
    assert not train.complete()
    shard.write_bytes(content)
    assert task.complete()
    assert train.complete()


def test_latest_that_leads_elsewhere_leaves_the_run_incomplete(finished: list[str]) -> None:
    latest = Train().folder.parent / "latest"
    latest.unlink()
    latest.symlink_to("elsewhere")

    assert not RunAll().complete()
    run_all()
    assert RunAll().complete()
    assert finished == []


def test_a_notebook_changes_a_setting_between_two_builds_and_goes_back(built: list[str]) -> None:
    assert _build(RunAll())
    assert sorted(built) == sorted(NAMES)
    first = Train().folder
    built.clear()

    _set("train", "epochs", "2")
    assert _build(RunAll())

    assert settings().train.epochs == 2
    assert built == BELOW_TRAIN
    assert Train().folder != first
    built.clear()
    luigi.configuration.get_config().remove_section("train")
    assert _build(RunAll())
    assert built == []
    assert Train().folder == first
    assert (first.parent / "latest").resolve() == first.resolve()


def test_a_notebook_that_keeps_its_stage_sees_the_new_setting_too(built: list[str]) -> None:
    stage = SampleCorpus()
    assert _build(stage)
    before = stage.fingerprint
    _set("sample", "num_clips", "48")
    assert not stage.complete()
    assert stage.fingerprint != before
    assert _build(stage)
    assert built == ["sample", "sample"]
    assert stage.published_success().fingerprint == stage.fingerprint


def test_a_setting_that_became_wrong_ends_the_question_and_mending_it_helps(finished: list[str]) -> None:
    task = RunAll()
    _set("sample", "num_clips", "none")
    for _ in range(2):
        with pytest.raises(SettingError, match=r"\[sample\] num_clips is 'none': expected a whole number"):
            task.complete()
    luigi.configuration.get_config().remove_section("sample")
    assert task.complete()


def test_refresh_keeps_the_run_while_the_configuration_is_the_same(parses: Counter[str]) -> None:
    first = current_run()
    assert refresh() is first
    assert current_run() is first
    _set("decode", "workers", "3")
    # Inside a run nothing looks at the configuration; where one may begin, refresh() does.
    assert settings().decode.workers == 0
    assert refresh() is not first
    assert settings().decode.workers == 3
    assert parses["all"] == 2
    _set("decode", "workers", "3")
    refresh()
    assert parses["all"] == 2


def test_forgetting_a_run_forgets_what_its_stages_remember(configure: Configure) -> None:
    stage = Extract(modality="audio")
    assert Extract(modality="audio") is stage
    memo = current_run().memo
    assert stage.fingerprint in memo.values()

    forget_run()

    assert Extract(modality="audio") is not stage
    assert current_run().memo is not memo


# What is forced


@pytest.mark.parametrize(
    ("force", "expected"),
    [
        ("Train", BELOW_TRAIN),
        ("train", BELOW_TRAIN),
        (" Evaluate ,", ["evaluate"]),
        ("Extract-audio,Predict", ["extract-audio", *BELOW_TRAIN]),
        ("extract", [*NAMES[4:]]),
        ("SampleCorpus", NAMES),
        ("Manifest", NAMES[1:]),
    ],
)
def test_run_all_forces_what_is_named_and_all_below_once(finished: list[str], force: str, expected: list[str]) -> None:
    task = RunAll(force=force)

    assert not task.complete()
    run_all(force)

    assert finished == expected
    assert task.complete()
    run_all(force)
    assert finished == expected


def test_a_stage_forces_itself_and_a_name_above_it(finished: list[str]) -> None:
    stage = Train(force="Extract-text")
    assert not stage.complete()
    # Made without the argument, and forced all the same: it is a property of the run.
    assert Extract(modality="text").is_forced()
    assert not Extract(modality="audio").is_forced()
    assert Extract(modality="audio").complete()
    Extract(modality="text").run()
    stage.run()
    assert finished == ["extract-text", "train"]
    assert stage.complete()
    assert stage.is_forced()


def test_recognised_fields_are_forced_by_their_own_names(configure: Configure, built: list[str]) -> None:
    configure({"ocr": {"backbone": "rapidocr:PP-OCRv6"}, "asr": {"backbone": "transformers:a/b"}})
    run_all()
    built.clear()

    run_all("Recognize-ocr")

    assert built == ["recognize-ocr", "extract-text", *BELOW_TRAIN]


@pytest.mark.parametrize("force", ["Trian", "Extract-smell", "Train,RunAll", "ShardedStage", "ClipsStage", "frames"])
def test_unknown_names_are_refused_with_40_and_the_known_ones(
    configure: Configure, force: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for make in (RunAll, Train):
        with pytest.raises(SystemExit) as stopped:
            make(force=force)
        assert stopped.value.code == 40
        printed = capsys.readouterr().err
        assert printed.startswith(f"error: --force names {force.rpartition(',')[2]!r}: expected some of Ablation, ")
        assert printed.count("\n") == 1
        assert "Train" in printed
        assert "ClipsStage" not in printed.partition("expected")[2]


def test_a_later_run_without_force_is_not_forced(finished: list[str]) -> None:
    run_all("Train")
    finished.clear()

    assert RunAll().complete()

    assert current_run().force == frozenset()
    assert not Train().is_forced()
    run_all("Train")
    assert finished == BELOW_TRAIN


def test_the_same_names_go_on_with_the_run_and_others_begin_one(configure: Configure) -> None:
    force_stages(frozenset({"train"}))
    first = current_run()
    force_stages(frozenset({"train"}))
    assert current_run() is first
    force_stages(frozenset({"predict"}))
    assert current_run() is not first
    assert current_run().settings is first.settings
    assert current_run().started_at >= first.started_at
    assert current_run().memo == {}


def test_what_was_built_before_the_run_began_does_not_count_as_forced(
    finished: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    success = Train().folder / SUCCESS_NAME
    begin = success.stat().st_mtime + 100
    monkeypatch.setattr("tasks.config.run.time.time", lambda: begin)
    assert not Train(force="Train").complete()
    os.utime(success, (begin, begin))
    assert Train(force="Train").complete()


# Task processes


def _in_child(answers: SimpleQueue[object], parses: Counter[str]) -> None:
    before = dict(parses)
    train = Train()
    answers.put((settings().train.epochs, train.fingerprint, train.is_forced(), dict(parses) == before))


def test_a_forked_process_inherits_settings_force_and_fingerprints(built: list[str], parses: Counter[str]) -> None:
    _set("train", "epochs", "3")
    train = Train(force="Predict,Train")
    fingerprint = train.fingerprint
    assert parses == ONCE
    context = multiprocessing.get_context("fork")
    answers: SimpleQueue[object] = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(answers, parses))

    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert answers.get() == (3, fingerprint, True, True)


def test_a_task_process_of_luigi_parses_nothing(
    finished: list[str], parses: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Luigi forks a process for each task with ``force_multiprocessing``; what it counts it leaves in a file."""
    monkeypatch.setattr(
        SampleCorpus, "run", lambda _: (tmp_path / "count").write_text(f"{parses['all']} {os.getpid()}", "utf-8")
    )
    monkeypatch.setattr(SampleCorpus, "complete", lambda _: (tmp_path / "count").exists())
    _set("worker", "force_multiprocessing", "true")

    assert _build(SampleCorpus())

    number, process = (tmp_path / "count").read_text(encoding="utf-8").split()
    assert int(process) != os.getpid()
    assert int(number) == parses["all"] == 1


def test_the_manifest_digest_is_computed_once_while_the_file_is_the_same(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clips.jsonl"
    path.write_text('{"id": "a", "video": "a.mp4"}\n', encoding="utf-8")
    configure({"corpus": {"manifest": str(path)}})
    stage = Manifest()
    first = stage.fingerprint
    assert stage.fingerprint is first
    path.write_text('{"id": "b", "video": "b.mp4!"}\n', encoding="utf-8")
    # A manifest that changes during a run is found when it is read; the next run has another identity.
    assert stage.fingerprint is first
    forget_run()
    assert Manifest().fingerprint != first
