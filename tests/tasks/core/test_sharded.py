"""Shards: their keys, which of them are built, re-used or attempted again, and how many side by side."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from features.base.errors import StageFailedError
from features.base.files import sha256_of
from features.base.outcomes import Outcome, Tally
from features.base.parallel import STOPPING
from tasks.config.run import forget_run
from tasks.core import sharded as sharded_module
from tasks.core.receipts import FileReceipt, read_receipt, receipt_path, write_receipt
from tasks.core.sharded import TAKEN_OVER, ShardJob, Stopwatch, run_local
from tasks.stages.decode import Decode
from tests.tasks.core.copying import BUILT, CORPUS, SETTINGS, CopySource, CopyStage, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tasks.core.console import Progress

pytestmark = pytest.mark.usefixtures("corpus")

JOBS = [ShardJob(number, f"shard-{number}", "", 1, {}, {}) for number in range(6)]


def test_rm_of_one_shard_rebuilds_that_shard_alone_with_the_same_bytes() -> None:
    stage = run()
    path = stage.folder / "shard-00001.upper"
    digest, other = sha256_of(path), (stage.folder / "shard-00000.upper").stat().st_mtime_ns
    path.unlink()
    BUILT.clear()

    assert not stage.complete()
    stage = run()

    assert BUILT == ["shard-00001.upper"]
    assert sha256_of(path) == digest
    assert (stage.folder / "shard-00000.upper").stat().st_mtime_ns == other


def test_a_shard_of_the_wrong_size_is_rebuilt() -> None:
    stage = run()
    (stage.folder / "shard-00000.upper").write_text("A", encoding="utf-8")
    BUILT.clear()

    run()

    assert BUILT == ["shard-00000.upper"]


def test_intact_shards_of_a_name_are_found_under_other_settings_the_newest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders = []
    for number, rate in enumerate((2, 3, 4)):
        SETTINGS["rate"] = rate
        stage = run()
        folders.append(stage.folder)
        os.utime(receipt_path(stage.folder, "shard-00001.upper"), (number, number))
    SETTINGS["rate"] = 5
    forget_run()
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
    first = run().folder
    BUILT.clear()
    CORPUS["shard-00002.txt"] = ["d"]

    second = run()

    assert second.folder != first
    assert BUILT == ["shard-00002.upper"]
    assert (second.folder / "shard-00000.upper").samefile(first / "shard-00000.upper")
    assert second.published_success().totals["ok"] == 4


def test_a_run_that_was_killed_goes_on_after_its_last_shard() -> None:
    stage = run()
    (stage.folder / "_SUCCESS.json").unlink()
    (stage.folder / "shard-00001.upper").unlink()
    (stage.folder / ".tmp-999999999-shard-00001.upper").write_bytes(b"half")
    BUILT.clear()

    run()

    assert BUILT == ["shard-00001.upper"]
    assert not list(stage.folder.glob(".tmp-*"))


def test_the_old_receipt_is_gone_before_the_new_content_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
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
        run()
    BUILT.clear()

    with pytest.raises(StageFailedError):
        run()

    assert BUILT == ["shard-00000.upper"]


# Jobs and their keys


def test_a_job_names_its_inputs_with_the_digests_they_were_published_with() -> None:
    stage = run()
    first, second = stage.jobs()
    source = CopySource()

    assert (first.number, first.name, first.rows) == (0, "shard-00000.upper", 2)
    assert (second.number, second.name, second.rows) == (1, "shard-00001.upper", 1)
    assert first.inputs == {"copysource": source.folder / "shard-00000.txt"}
    assert first.digests == {"copysource": sha256_of(source.folder / "shard-00000.txt")}
    assert first.key != second.key
    assert first.previous is None


def test_a_key_follows_settings_version_and_content_and_not_the_name_of_the_corpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def keys() -> list[str]:
        return [job.key for job in run().jobs()]

    before = keys()
    SETTINGS["rate"] = 3
    other_rate = keys()
    SETTINGS["rate"] = 2
    monkeypatch.setattr(CopyStage, "stage_version", 2)
    other_version = keys()
    monkeypatch.undo()
    CORPUS["shard-00001.txt"] = ["z"]

    assert not set(before) & set(other_rate)
    assert not set(before) & set(other_version)
    assert keys()[0] == before[0]
    assert keys()[1] != before[1]


def test_key_settings_may_say_less_than_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    folder, keys = stage.folder, [job.key for job in stage.jobs()]
    monkeypatch.setattr(CopyStage, "key_settings", lambda _: {"rate": 2})
    SETTINGS["not in the shards"] = 1
    BUILT.clear()

    other = run()

    assert other.folder != folder
    assert [job.key for job in other.jobs()] == keys
    assert BUILT == []
    assert (other.folder / "shard-00000.upper").samefile(folder / "shard-00000.upper")


def test_inputs_of_different_numbers_of_shards_are_a_bug_and_no_short_result(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    # One of its two shards.
    monkeypatch.setattr(CopyStage, "suffix", "1.upper")
    monkeypatch.setattr(CopyStage, "shard_inputs", lambda _: {"one": CopySource(), "two": stage})
    with pytest.raises(ValueError, match="zip"):
        CopyStage().jobs()


def test_several_inputs_are_joined_shard_by_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    alone = [job.key for job in stage.jobs()]
    inputs = {"one": CopySource(), "two": stage}
    monkeypatch.setattr(CopyStage, "shard_inputs", lambda _: inputs)

    jobs = CopyStage().jobs()

    assert [set(job.inputs) for job in jobs] == [{"one", "two"}] * 2
    assert [job.inputs["two"].name for job in jobs] == ["shard-00000.upper", "shard-00001.upper"]
    assert not set(alone) & {job.key for job in jobs}


# What is built


def test_a_shard_with_too_few_rows_is_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    def drop(self: CopyStage, job: ShardJob, path: Path, on_clip: object) -> tuple[Tally, dict[str, float]]:
        path.write_text("half", encoding="utf-8")
        return Tally.of([Outcome("a", "ok")]), {}

    monkeypatch.setattr(CopyStage, "build_shard", drop)
    with pytest.raises(StageFailedError, match=r"shard-00000.upper has 1 rows for 2 clips: please report this"):
        run()

    assert [path.name for path in CopyStage().folder.glob("*shard*")] == []


def test_timings_are_rounded_and_the_clips_taken_over_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(self: CopyStage, job: ShardJob, path: Path, on_clip: object) -> tuple[Tally, dict[str, float]]:
        path.touch()
        tally = Tally.of(Outcome(str(number), "ok") for number in range(job.rows))
        return tally, {"network_seconds": 1.23456, TAKEN_OVER: job.rows}

    monkeypatch.setattr(CopyStage, "build_shard", build)
    stage = run()
    receipt = read_receipt(stage.folder, "shard-00000.upper")

    assert receipt is not None
    assert receipt.timings["network_seconds"] == 1.235
    assert set(receipt.timings) == {"network_seconds", "wall_seconds"}
    assert receipt.taken_over == 2
    assert stage.published_success().timings["network_seconds"] == 2.47


def test_a_builder_sees_the_intact_shard_that_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    path = stage.folder / "shard-00000.upper"
    receipt = read_receipt(stage.folder, path.name)
    assert receipt is not None
    seen: dict[str, Path | None] = {}
    build = CopyStage.build_shard

    def look(
        self: CopyStage, job: ShardJob, target: Path, on_clip: Callable[[], None]
    ) -> tuple[Tally, dict[str, float]]:
        seen[job.name] = job.previous
        return build(self, job, target, on_clip)

    def rebuild(force: str = "") -> Path | None:
        (stage.folder / "_SUCCESS.json").unlink(missing_ok=True)
        run(force)
        return seen.pop(path.name)

    monkeypatch.setattr(CopyStage, "build_shard", look)
    # Made of other inputs, and whole.
    write_receipt(stage.folder, replace(receipt, key="other"))
    assert rebuild() == path
    # Its bytes are not those of the receipt.
    write_receipt(stage.folder, replace(receipt, key="other", sha256="0" * 64))
    assert rebuild() is None
    # Of another size.
    write_receipt(stage.folder, replace(receipt, key="other", bytes=1))
    assert rebuild() is None
    # What is forced is made from nothing.
    assert rebuild("CopyStage") is None


def test_each_shard_that_is_published_is_reported_kept_ones_first(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    (stage.folder / "shard-00000.upper").unlink()
    names: list[str] = []
    monkeypatch.setattr(CopyStage, "shard_done", lambda _, receipt: names.append(receipt.name))

    run()

    assert names == ["shard-00001.upper", "shard-00000.upper"]
    assert [item.name for item in stage.published_success().files] == ["shard-00000.upper", "shard-00001.upper"]


def test_what_shards_share_is_not_even_opened_where_none_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = run()
    (stage.folder / "_SUCCESS.json").unlink()

    def refuse(self: CopyStage, progress: Progress) -> None:
        raise AssertionError

    monkeypatch.setattr(CopyStage, "shard_builder", refuse)
    run()
    assert stage.complete()


def test_a_linked_shard_replaces_what_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run().folder
    SETTINGS["rate"] = 3
    second = run().folder
    # The old key under the new settings: as after a change that was taken back in the code.
    monkeypatch.setattr(CopyStage, "key_settings", lambda _: {"rate": 2})
    (second / "_SUCCESS.json").unlink()
    BUILT.clear()

    run()

    assert BUILT == []
    for name in ("shard-00000.upper", "shard-00001.upper"):
        assert first != second
        assert (second / name).samefile(first / name)
        assert read_receipt(second, name) == read_receipt(first, name)


# Failures that may pass


def _mark(monkeypatch: pytest.MonkeyPatch) -> CopyStage:
    CORPUS.update({"shard-00000.txt": ["bad", "b"], "shard-00001.txt": ["c"]})
    monkeypatch.setattr("tasks.core.receipts.is_transient", lambda code: code == "bad")
    return run()


def test_transient_failures_are_marked_and_only_their_shards_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _mark(monkeypatch)
    BUILT.clear()

    assert stage.mark_for_retry() == {"bad": 1}
    assert not stage.complete()
    # Marked once, it is marked.
    assert stage.mark_for_retry() == {"bad": 1}
    run()

    assert BUILT == ["shard-00000.upper"]
    receipt = read_receipt(stage.folder, "shard-00000.upper")
    assert receipt is not None
    assert not receipt.retry
    assert stage.complete()


def test_a_marked_shard_is_built_again_under_other_settings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _mark(monkeypatch)
    monkeypatch.setattr(CopyStage, "key_settings", lambda _: {})
    (stage.folder / "_SUCCESS.json").unlink()
    stage = run()
    stage.mark_for_retry()
    SETTINGS["rate"] = 3
    BUILT.clear()

    run()

    # Its bytes would be linked from the folder where it is marked, were it not marked.
    assert BUILT == ["shard-00000.upper"]


def test_nothing_is_marked_where_nothing_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _mark(monkeypatch)
    before = read_receipt(stage.folder, "shard-00000.upper")
    monkeypatch.setattr(CopyStage, "can_retry", False)
    assert stage.mark_for_retry() == {}
    monkeypatch.setattr(CopyStage, "can_retry", True)
    monkeypatch.setattr("tasks.core.receipts.is_transient", lambda _: False)
    assert stage.mark_for_retry() == {}
    assert read_receipt(stage.folder, "shard-00000.upper") == before
    assert stage.complete()


def test_a_stage_that_failed_keeps_what_will_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    CORPUS.update({"shard-00000.txt": ["bad", "bad"], "shard-00001.txt": ["c"]})
    with pytest.raises(StageFailedError):
        run()
    BUILT.clear()

    with pytest.raises(StageFailedError):
        run()

    assert BUILT == []


def test_codes_of_several_shards_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    CORPUS.update({"shard-00000.txt": ["bad", "b"], "shard-00001.txt": ["bad", "c", "d"]})
    monkeypatch.setattr("tasks.core.receipts.is_transient", lambda code: code == "bad")

    assert run().mark_for_retry() == {"bad": 2}


# Side by side


def test_one_at_a_time_is_done_in_this_thread_and_in_order() -> None:
    threads: list[int] = []

    def build(job: ShardJob) -> int:
        threads.append(threading.get_ident())
        return job.number

    assert [(job.number, result) for job, result in run_local(build, JOBS)] == [(n, n) for n in range(6)]
    assert set(threads) == {threading.get_ident()}


def test_one_at_a_time_is_begun_when_the_one_before_was_taken() -> None:
    begun: list[int] = []
    done = run_local(lambda job: begun.append(job.number), JOBS)

    next(done)
    assert begun == [0]
    next(done)
    assert begun == [0, 1]


def test_several_at_a_time_overlap_and_never_more_of_them() -> None:
    lock, both = threading.Lock(), threading.Barrier(2, timeout=20)
    running, most = 0, 0

    def build(job: ShardJob) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        # Blocks until two builds have arrived.
        both.wait()
        with lock:
            running -= 1
        return 10 * job.number

    found = {job.number: result for job, result in run_local(build, JOBS, 2)}

    assert found == {number: 10 * number for number in range(6)}
    assert most == 2


def test_an_error_stops_the_others_and_begins_no_further_shard() -> None:
    begun: list[int] = []
    stopped = threading.Event()

    def build(job: ShardJob) -> None:
        begun.append(job.number)
        if job.number == 0:
            raise StageFailedError("broken")
        # Asked to give up, it does.
        stopped.set() if STOPPING.wait(20) else None

    try:
        with pytest.raises(StageFailedError, match="broken"):
            list(run_local(build, JOBS, 2))
        assert STOPPING.is_set()
        assert set(begun) <= {0, 1}
        assert 1 not in begun or stopped.is_set()
    finally:
        STOPPING.clear()


def test_a_consumer_that_stops_iterating_stops_the_building() -> None:
    release = threading.Event()

    def build(job: ShardJob) -> None:
        if job.number:
            release.wait(20)

    try:
        done = run_local(build, JOBS, 2)
        next(done)
        assert not STOPPING.is_set()
        threading.Timer(0.05, release.set).start()
        done.close()  # type: ignore[attr-defined]  # it is a generator
        assert STOPPING.is_set()
    finally:
        STOPPING.clear()


def test_splits_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stopwatch = Stopwatch()
    found = []
    for moment in (101.5, 101.5, 104.0):
        now[0] = moment
        found.append(stopwatch.split())
    assert found == [1.5, 0.0, 2.5]


def test_media_stages_work_at_two_shards_at_a_time() -> None:
    assert Decode.shards_at_a_time == 2
    assert CopyStage.shards_at_a_time == 1
