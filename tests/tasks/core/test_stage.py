"""Identity, completeness, re-use and failure limits, on stages that copy text."""

from __future__ import annotations

import functools
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import pytest

from features.base.errors import StageFailedError
from features.base.files import sha256_of
from features.base.outcomes import Outcome, Tally
from tasks.config.run import forget_run
from tasks.core import sharded as sharded_module
from tasks.core import stage as stage_module
from tasks.core.receipts import FileReceipt, read_receipt, receipt_path
from tasks.core.sharded import ShardedStage
from tasks.core.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tasks.core.progress import Progress
    from tasks.core.sharded import ShardBuilder, ShardJob

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

CORPUS: dict[str, list[str]] = {}
SETTINGS: dict[str, object] = {}
BUILT: list[str] = []


class CopySource(Stage):
    """Writes the shards that CORPUS names."""

    def identity_settings(self) -> Mapping[str, object]:
        return {"corpus": dict(CORPUS)}

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        for name, rows in CORPUS.items():
            (self.folder / name).write_text("\n".join(rows), encoding="utf-8")
        return [FileReceipt.of(self.folder, name, len(rows)) for name, rows in CORPUS.items()], len(CORPUS), {}


class CopyStage(ShardedStage):
    """Copies each shard; a row ``bad`` fails."""

    suffix: ClassVar[str] = ".upper"

    @property
    def can_retry(self) -> bool:
        return True

    def identity_settings(self) -> Mapping[str, object]:
        return dict(SETTINGS)

    def inputs(self) -> Mapping[str, Stage]:
        return {"copysource": CopySource()}

    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        return {"copysource": (self.inputs()["copysource"], ".txt")}

    def max_failed_fraction(self) -> float:
        return 0.5

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        yield functools.partial(self.build_shard, on_clip=progress.advance)

    def build_shard(self, job: ShardJob, path: Path, on_clip: Callable[[], None]) -> tuple[Tally, dict[str, float]]:
        BUILT.append(job.name)
        on_clip()
        rows = job.inputs["copysource"].read_text(encoding="utf-8").split("\n")
        path.write_text("\n".join(row.upper() for row in rows), encoding="utf-8")
        return Tally.of(Outcome(row, "failed" if row == "bad" else "ok", "bad" * (row == "bad")) for row in rows), {}


def _forget_instances() -> None:
    forget_run()


@pytest.fixture(autouse=True)
def _fresh(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure({})
    _forget_instances()
    CORPUS.clear()
    CORPUS.update({"shard-00000.txt": ["a", "b"], "shard-00001.txt": ["c"]})
    SETTINGS.clear()
    SETTINGS.update({"rate": 2})
    BUILT.clear()
    # The tests play the parent process; it must not be told to die with anyone.
    monkeypatch.setattr(stage_module, "die_with_parent", lambda: None)


def _run(force: str = "") -> CopyStage:
    """Run what is not complete, as Luigi would, and return the second stage."""
    _forget_instances()
    source, copy = CopySource(force=force), CopyStage(force=force)
    for stage in (source, copy):
        if not stage.complete():
            stage.run()
    return copy


def test_a_finished_stage_is_complete_and_does_nothing_again() -> None:
    stage = _run()

    assert stage.complete()
    assert BUILT == ["shard-00000.upper", "shard-00001.upper"]
    assert (stage.folder / "shard-00000.upper").read_text(encoding="utf-8") == "A\nB"
    _run()
    assert len(BUILT) == 2


def test_the_published_account_adds_up() -> None:
    found = _run().published_success()

    assert found.totals == {"ok": 3, "partial": 0, "failed": 0}
    assert [(item.name, item.rows) for item in found.files] == [("shard-00000.upper", 2), ("shard-00001.upper", 1)]
    assert found.built == 2


def test_rm_of_one_shard_rebuilds_that_shard_alone_with_the_same_bytes() -> None:
    stage = _run()
    path = stage.folder / "shard-00001.upper"
    digest, other = sha256_of(path), (stage.folder / "shard-00000.upper").stat().st_mtime_ns
    path.unlink()
    BUILT.clear()

    assert not stage.complete()
    stage = _run()

    assert BUILT == ["shard-00001.upper"]
    assert sha256_of(path) == digest
    assert (stage.folder / "shard-00000.upper").stat().st_mtime_ns == other


def test_a_shard_of_the_wrong_size_is_rebuilt() -> None:
    stage = _run()
    (stage.folder / "shard-00000.upper").write_text("A", encoding="utf-8")
    BUILT.clear()

    _run()

    assert BUILT == ["shard-00000.upper"]


def test_a_changed_setting_gives_another_folder_and_going_back_runs_nothing() -> None:
    first = _run().folder
    SETTINGS["rate"] = 4
    second = _run().folder
    SETTINGS["rate"] = 2
    BUILT.clear()
    again = _run().folder

    assert first != second
    assert again == first
    assert BUILT == []


def test_intact_shards_of_a_name_are_found_under_other_settings_the_newest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders = []
    for number, rate in enumerate((2, 3, 4)):
        SETTINGS["rate"] = rate
        stage = _run()
        folders.append(stage.folder)
        os.utime(receipt_path(stage.folder, "shard-00001.upper"), (number, number))
    SETTINGS["rate"] = 5
    _forget_instances()
    stage = CopyStage()
    job = stage.jobs()[1]
    found = [path.parent for path in stage.elsewhere(job)]
    assert found == [folders[2], folders[1], folders[0]]

    (folders[2] / job.name).write_text("X", encoding="utf-8")
    (folders[1] / job.name).unlink()
    assert [path.parent for path in stage.elsewhere(job)] == [folders[0]]
    monkeypatch.setattr(CopyStage, "is_forced", lambda _: True)
    assert list(stage.elsewhere(job)) == []


def test_an_appended_corpus_links_the_old_shards_and_builds_the_new_one() -> None:
    first = _run().folder
    BUILT.clear()
    CORPUS["shard-00002.txt"] = ["d"]

    second = _run()

    assert second.folder != first
    assert BUILT == ["shard-00002.upper"]
    assert (second.folder / "shard-00000.upper").samefile(first / "shard-00000.upper")
    assert second.published_success().totals["ok"] == 4


def test_a_run_that_was_killed_goes_on_after_its_last_shard() -> None:
    stage = _run()
    (stage.folder / "_SUCCESS.json").unlink()
    (stage.folder / "shard-00001.upper").unlink()
    (stage.folder / ".tmp-999999999-shard-00001.upper").write_bytes(b"half")
    BUILT.clear()

    _run()

    assert BUILT == ["shard-00001.upper"]
    assert not list(stage.folder.glob(".tmp-*"))


def test_force_rebuilds_the_stage_and_what_is_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _run()
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
        _run()

    stage = CopyStage()
    assert not stage.complete()
    receipt = read_receipt(stage.folder, "shard-00000.upper")
    assert receipt is not None
    assert [problem.clip_id for problem in receipt.problems] == ["bad", "bad"]


def test_a_changed_input_makes_the_stage_below_incomplete() -> None:
    stage = _run()
    success = CopySource().folder / "_SUCCESS.json"
    row = json.loads(success.read_text(encoding="utf-8"))
    row["files"][0]["sha256"] = "0" * 64
    success.write_text(json.dumps(row), encoding="utf-8")

    assert not stage.complete()


def test_params_say_in_words_what_was_hashed() -> None:
    stage = _run()
    params = json.loads((stage.folder / "params.json").read_text(encoding="utf-8"))

    assert params["settings"] == {"rate": 2}
    assert params["inputs"] == {"copysource": CopySource().fingerprint}
    assert len(stage.fingerprint) == 12


def test_latest_leads_to_the_newest_fingerprint() -> None:
    first = _run()
    SETTINGS["rate"] = 4
    second = _run()

    assert (first.folder.parent / "latest").resolve() == second.folder.resolve()


def test_while_a_stage_works_it_does_not_look_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _run()
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


def test_the_old_receipt_is_gone_before_the_new_content_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _run()
    (stage.folder / "_SUCCESS.json").unlink()
    monkeypatch.setattr("tasks.config.run.time.time", lambda: 4e9)

    def die(folder: Path, receipt: FileReceipt) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sharded_module, "write_receipt", die)
    forced = CopyStage(force="CopyStage")
    with pytest.raises(KeyboardInterrupt):
        forced.run()

    assert read_receipt(stage.folder, "shard-00000.upper") is None
    assert read_receipt(stage.folder, "shard-00001.upper") is not None


def test_failures_that_may_pass_are_tried_again_after_a_failed_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    CORPUS.update({"shard-00000.txt": ["bad", "bad"], "shard-00001.txt": ["c"]})
    monkeypatch.setattr("tasks.core.receipts.is_transient", lambda code: code == "bad")
    with pytest.raises(StageFailedError):
        _run()
    BUILT.clear()

    with pytest.raises(StageFailedError):
        _run()

    assert BUILT == ["shard-00000.upper"]
