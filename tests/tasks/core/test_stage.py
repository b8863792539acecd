"""Identity, completeness, publishing and failure limits, on stages that copy text."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from features.base.errors import SettingError, SourceError, StageFailedError
from tasks.config.run import forget_run
from tasks.core import stage as stage_module
from tasks.core.receipts import SUCCESS_NAME, read_receipt, read_success, write_success
from tasks.core.stage import PARAMS_NAME, Stage, exit_on_error, forced_names, point_latest, root_folder
from tests.tasks.core.copying import BUILT, CORPUS, SETTINGS, CopySource, CopyStage, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from features.base.outcomes import Tally
    from tasks.core.receipts import Success
    from tasks.core.sharded import ShardJob

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

pytestmark = pytest.mark.usefixtures("corpus")


def test_a_finished_stage_is_complete_and_does_nothing_again() -> None:
    stage = run()

    assert stage.complete()
    assert BUILT == ["shard-00000.upper", "shard-00001.upper"]
    assert (stage.folder / "shard-00000.upper").read_text(encoding="utf-8") == "A\nB"
    run()
    assert len(BUILT) == 2


def test_the_published_account_adds_up() -> None:
    found = run().published_success()

    assert found.totals == {"ok": 3, "partial": 0, "failed": 0}
    assert [(item.name, item.rows) for item in found.files] == [("shard-00000.upper", 2), ("shard-00001.upper", 1)]
    assert found.built == 2


def test_a_changed_setting_gives_another_folder_and_going_back_runs_nothing() -> None:
    first = run().folder
    SETTINGS["rate"] = 4
    second = run().folder
    SETTINGS["rate"] = 2
    BUILT.clear()
    again = run().folder

    assert first != second
    assert again == first
    assert BUILT == []


def test_force_rebuilds_the_stage_and_what_is_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    # Forced stages count as done once they were published after the start of the command.
    old = (stage.folder / "_SUCCESS.json").stat().st_mtime + 10
    monkeypatch.setattr("tasks.config.run.time.time", lambda: old)
    BUILT.clear()

    assert CopySource(force="CopyStage").complete()
    assert not CopyStage(force="copystage").complete()
    assert not CopyStage(force="CopySource").complete()
    CopyStage(force="CopyStage").run()
    assert BUILT == ["shard-00000.upper", "shard-00001.upper"]
    path = stage.folder / "_SUCCESS.json"
    os.utime(path, (old + 1, old + 1))
    assert CopyStage(force="CopyStage").complete()


def test_force_of_an_unknown_stage_ends_the_command_and_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        CopyStage(force="Extrakt")

    assert stopped.value.code == 40
    assert "--force names 'Extrakt': expected some of Ablation, CopySource" in capsys.readouterr().err


def test_a_stage_fails_when_too_many_clips_failed_and_keeps_its_shards() -> None:
    CORPUS.update({"shard-00000.txt": ["bad", "bad"], "shard-00001.txt": ["c"]})

    with pytest.raises(StageFailedError, match=r"2 of 3 clips failed \(2 bad\), more than max_failed_fraction = 0.5"):
        run()

    stage = CopyStage()
    assert not stage.complete()
    receipt = read_receipt(stage.folder, "shard-00000.upper")
    assert receipt is not None
    assert [problem.clip_id for problem in receipt.problems] == ["bad", "bad"]


def test_a_changed_input_makes_the_stage_below_incomplete() -> None:
    stage = run()
    success = CopySource().folder / "_SUCCESS.json"
    row = json.loads(success.read_text(encoding="utf-8"))
    row["files"][0]["sha256"] = "0" * 64
    success.write_text(json.dumps(row), encoding="utf-8")

    assert not stage.complete()


def test_params_say_in_words_what_was_hashed() -> None:
    stage = run()
    params = json.loads((stage.folder / "params.json").read_text(encoding="utf-8"))

    assert params["settings"] == {"rate": 2}
    assert params["inputs"] == {"copysource": CopySource().fingerprint}
    assert len(stage.fingerprint) == 12


def test_latest_leads_to_the_newest_fingerprint() -> None:
    first = run()
    SETTINGS["rate"] = 4
    second = run()

    assert (first.folder.parent / "latest").resolve() == second.folder.resolve()


def test_while_a_stage_works_it_does_not_look_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    (stage.folder / "shard-00001.upper").unlink()
    seen = []

    def look(self: CopyStage, job: ShardJob, path: Path, on_clip: Callable[[], None]) -> tuple[Tally, dict[str, float]]:
        seen.append((stage.folder / "_SUCCESS.json").exists())
        raise KeyboardInterrupt

    monkeypatch.setattr(CopyStage, "build_shard", look)
    with pytest.raises(KeyboardInterrupt):
        stage.run()

    assert seen == [False]
    assert not stage.complete()


# Completeness


def test_a_stage_that_is_not_complete_says_which_to_run() -> None:
    assert CopyStage().success() is None
    with pytest.raises(SourceError, match=r"copystage/\w{12} is not complete: run CopyStage first"):
        CopyStage().published_success()


def test_an_account_of_another_fingerprint_does_not_count() -> None:
    stage = run()
    write_success(stage.folder, replace(stage.published_success(), fingerprint="0" * 12))

    assert stage.success() is None
    assert not stage.complete()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stage": "copystage"}'])
def test_an_account_that_cannot_be_read_is_none(text: str) -> None:
    stage = run()
    (stage.folder / SUCCESS_NAME).write_text(text, encoding="utf-8")
    BUILT.clear()

    assert not stage.complete()
    run()
    assert stage.complete()
    # The shards have receipts of their own.
    assert BUILT == []


def test_a_question_changes_nothing_on_the_disk() -> None:
    stage = run()
    (stage.folder / "shard-00000.upper").unlink()
    before = {path: path.lstat().st_mtime_ns for path in root_folder().rglob("*")}

    assert not stage.complete()
    assert not CopyStage(force="CopySource").complete()

    assert {path: path.lstat().st_mtime_ns for path in root_folder().rglob("*")} == before


def test_an_input_that_is_not_complete_makes_the_stage_below_incomplete() -> None:
    stage = run()
    (CopySource().folder / "shard-00001.txt").unlink()

    assert not stage.complete()

    run()
    # It came out the same, so nothing below it was built.
    assert stage.complete()
    assert BUILT == ["shard-00000.upper", "shard-00001.upper"]


def test_a_question_is_answered_once_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    asked: Counter[str] = Counter()
    read = Stage.success

    def count(self: Stage) -> Success | None:
        asked[self.stage_name] += 1
        return read(self)

    monkeypatch.setattr(Stage, "success", count)
    answers: dict[Stage, bool] = {}

    assert stage.is_complete(answers)
    first = dict(asked)
    assert stage.is_complete(answers)
    assert CopySource().is_complete(answers)

    assert asked == first
    assert answers == {stage: True, CopySource(): True}


def test_a_stage_that_turned_out_complete_is_not_built(capsys: pytest.CaptureFixture[str]) -> None:
    stage = run()
    BUILT.clear()
    capsys.readouterr()

    stage.run()

    assert BUILT == []
    assert capsys.readouterr().err == ""


def test_a_missing_source_is_no_completeness(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: CopySource) -> Mapping[str, object]:
        raise SourceError("the manifest is not there")

    run()
    monkeypatch.setattr(CopySource, "identity_settings", missing)
    monkeypatch.setattr(CopySource, "check_settings", lambda _: None)
    forget_run()

    assert not CopySource().complete()
    assert not CopyStage().complete()


# Identity


def test_the_identity_is_the_name_the_version_the_settings_and_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = CopyStage()

    assert stage.identity() == {
        "stage": "copystage", "version": 1, "settings": {"rate": 2}, "inputs": {"copysource": CopySource().fingerprint}
    }  # fmt: skip
    assert stage.folder == root_folder() / "copystage" / stage.fingerprint
    assert stage.output().path == str(stage.folder / SUCCESS_NAME)
    before = stage.fingerprint
    monkeypatch.setattr(CopyStage, "stage_version", 2)
    forget_run()
    assert CopyStage().fingerprint != before


def test_a_change_above_changes_the_fingerprint_below() -> None:
    source, copy = CopySource().fingerprint, CopyStage().fingerprint
    CORPUS["shard-00001.txt"] = ["d"]
    forget_run()

    assert CopySource().fingerprint != source
    assert CopyStage().fingerprint != copy


def test_the_order_of_the_settings_does_not_count() -> None:
    SETTINGS.update({"a": 1, "b": 2})
    first = CopyStage().fingerprint
    SETTINGS.clear()
    SETTINGS.update({"b": 2, "a": 1, "rate": 2})
    forget_run()

    assert CopyStage().fingerprint == first


# Building


def test_what_is_known_to_fail_is_refused_before_anything_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    (stage.folder / "shard-00000.upper").unlink()
    leftover = stage.folder / ".tmp-999999999-shard"
    leftover.touch()
    before = {path.name: path.read_bytes() for path in stage.folder.iterdir()}

    def refuse(self: CopyStage) -> None:
        raise SettingError("there is no such GPU")

    monkeypatch.setattr(CopyStage, "check_before_build", refuse)
    with pytest.raises(SettingError, match="no such GPU"):
        stage.run()

    assert {path.name: path.read_bytes() for path in stage.folder.iterdir()} == before
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"No space left on device \(.*/copystage/\w{12}\): mend"),
        (OSError(errno.EACCES, "Permission denied", "/media/a.mp4"), r"Permission denied \(/media/a.mp4\): mend that"),
        (OSError("something else"), "something else"),
    ],
)
def test_an_error_of_the_disk_is_one_line_that_names_the_place(
    monkeypatch: pytest.MonkeyPatch, error: OSError, told: str
) -> None:
    run()
    SETTINGS["rate"] = 5
    forget_run()

    def fail(self: CopyStage) -> None:
        raise error

    monkeypatch.setattr(CopyStage, "build", fail)
    with pytest.raises(SourceError, match=told):
        CopyStage().run()
    assert not CopyStage().complete()
    assert json.loads((CopyStage().folder / PARAMS_NAME).read_text(encoding="utf-8"))["settings"] == {"rate": 5}


def test_the_hook_of_success_is_called_once_when_the_stage_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(CopyStage, "on_success", lambda self: seen.append((self.folder / SUCCESS_NAME).exists()))

    run()
    run()
    assert seen == [True]
    CORPUS.update({"shard-00000.txt": ["bad", "bad"]})
    with pytest.raises(StageFailedError):
        run()
    assert seen == [True]


def test_the_account_says_what_was_spent_on_what(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run().published_success()

    assert set(found.timings) == {"wall_seconds"}
    assert found.stage == "copystage"
    assert found.inputs == {"copysource": CopySource().published_success().digest}
    assert found.seconds >= 0.0
    assert found.started_at.endswith("+00:00")
    assert all(not item.problems for item in found.files)
    # A stage without shards says what the programs that it started have spent.
    assert set(CopySource().published_success().timings) == {"child_cpu_seconds"}


def test_the_limit_itself_is_no_failure_and_one_clip_more_is() -> None:
    CORPUS.update({"shard-00000.txt": ["bad", "b"], "shard-00001.txt": ["bad", "d"]})
    assert run().published_success().totals == {"ok": 2, "partial": 0, "failed": 2}
    CORPUS.update({"shard-00000.txt": ["bad", "bad"], "shard-00001.txt": ["bad", "d", "e"]})
    with pytest.raises(StageFailedError, match=r"3 of 5 clips failed \(3 bad\)"):
        run()


def test_only_the_five_most_frequent_reasons_are_named() -> None:
    stage = CopyStage()
    account = _account(stage, ok=1, failed=30)
    reasons = Counter({"a": 9, "b": 8, "c": 7, "d": 3, "e": 2, "f": 1})

    with pytest.raises(StageFailedError, match=r"\(9 a, 8 b, 7 c, 3 d, 2 e\), more than max_failed_fraction = 0.5"):
        stage.check_failures(account, reasons)
    stage.check_failures(_account(stage, ok=30, failed=30), reasons)
    # Without clips nothing can have failed.
    stage.check_failures(_account(stage), Counter())


def _account(stage: Stage, **totals: int) -> Success:
    run()
    return replace(CopyStage().published_success(), totals=totals)


@pytest.mark.parametrize(
    ("built", "files", "line"),
    [
        (2, 2, "copystage       done in 2.0 s  1,200 ok, 300 failed  750.0 clips/s"),
        (1, 2, "copystage       done in 2.0 s  1,200 ok, 300 failed  (1 of 2 files kept)"),
        (0, 2, "copystage       done in 2.0 s  1,200 ok, 300 failed  (2 of 2 files kept)"),
    ],
)
def test_the_closing_line_has_a_speed_only_where_everything_was_built(built: int, files: int, line: str) -> None:
    account = replace(_account(CopyStage(), ok=1200, failed=300), seconds=2.0, built=built)
    assert len(account.files) == files

    assert stage_module._closing_line(account) == line
    taken = replace(account, files=tuple(replace(item, taken_over=600) for item in account.files))
    assert ("1,200 clips" in stage_module._closing_line(taken)) == (built == files)


def test_the_closing_line_of_a_corpus_counts_its_rows() -> None:
    facts = {"rows": 1000, "clips": 990, "merged": 4, "rejected": {"no_id": 2, "no_video": 4}}
    account = replace(_account(CopyStage()), facts=facts, seconds=0.04)

    assert stage_module._closing_line(account) == (
        "copystage       done in 0.0 s  990 clips of 1,000 rows, 4 merged, 6 left out"
    )


# Names


def test_latest_is_changed_in_one_step_and_only_where_it_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    link = stage.folder.parent / "latest"
    before = link.lstat().st_mtime_ns, link.lstat().st_ino
    point_latest(stage)
    assert (link.lstat().st_mtime_ns, link.lstat().st_ino) == before
    link.unlink()
    link.symlink_to("elsewhere")
    # What a process of the same number left behind is no obstacle.
    (link.parent / f".tmp-{os.getpid()}-latest").symlink_to("nowhere")
    point_latest(stage)
    assert str(link.readlink()) == stage.fingerprint
    assert not list(link.parent.glob(".tmp-*"))


def test_names_of_stages_and_of_their_parts_are_known_in_any_case() -> None:
    assert forced_names("") == frozenset()
    assert forced_names(" , ") == frozenset()
    assert forced_names("copystage, CopySource") == {"copystage", "copysource"}
    assert forced_names("EXTRACT-Text,recognize-asr") == {"extract-text", "recognize-asr"}
    for name in ("Stage", "ShardedStage", "Extract-asr", "CopyStage-text", "CopyStage CopySource"):
        with pytest.raises(SettingError, match=f"--force names '{name}'"):
            forced_names(name)


@pytest.mark.parametrize("error", [SettingError("max is 0"), SourceError("no file"), StageFailedError("too bad")])
def test_an_error_of_ours_ends_the_command_in_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with exit_on_error():
            raise error

    with pytest.raises(SystemExit) as stopped:
        fail()
    assert stopped.value.code == 40
    assert stopped.value.__cause__ is None
    assert capsys.readouterr().err == f"error: {error}\n"


def test_an_error_of_the_program_is_not_hidden() -> None:
    def fail() -> None:
        with exit_on_error():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_the_root_is_absolute_and_may_lie_in_the_home(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    configure({"paths": {"root": "~/somewhere"}})
    assert root_folder() == tmp_path / "somewhere"
    configure({"paths": {"root": "here"}})
    assert root_folder() == tmp_path / "here"


def test_where_the_root_is_changes_no_fingerprint(configure: Configure, tmp_path: Path) -> None:
    before = CopyStage().fingerprint
    configure({"paths": {"root": str(tmp_path / "other")}})
    assert CopyStage().fingerprint == before


def test_the_root_is_locked_when_luigi_asks_for_what_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    locked: list[Path] = []
    monkeypatch.setattr(stage_module, "hold_root", locked.append)
    stage = CopyStage()
    assert stage.requires() == [CopySource()]
    assert not stage.complete()
    assert locked == []

    assert list(stage.deps()) == [CopySource()]

    assert locked == [root_folder()] == [tmp_path / "root"]


def test_a_stage_ends_with_the_process_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    monkeypatch.setattr(stage_module, "die_with_parent", lambda: called.append(True))
    monkeypatch.setattr(CopyStage, "complete", lambda _: True)

    CopyStage().run()

    assert called == [True]


def test_receipts_keep_the_single_failures_that_the_account_leaves_out() -> None:
    CORPUS.update({"shard-00000.txt": ["bad", "b", "c"]})
    stage = run()
    receipt = read_receipt(stage.folder, "shard-00000.upper")
    found = read_success(stage.folder)

    assert receipt is not None
    assert found is not None
    assert [(row.clip_id, row.code) for row in receipt.problems] == [("bad", "bad")]
    assert replace(found.files[0], problems=()) == replace(receipt, problems=())
    assert not found.files[0].problems
    assert found.codes == {"bad": 1}
