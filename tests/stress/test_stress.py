"""The stress program must be able to fail: what it compares with, and what it does to files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.stress.damage import _harm, _published
from tests.stress.place import Family, Place, wait_for
from tests.stress.results import Result, Trial
from tests.stress.snapshot import differences, published_files, read_snapshot, shown
from tests.stress.strikes import FFMPEG, TARGETS, draw

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stress.bench import Reference

STAGES = {"sample": 2.0, "decode": 3.0, "extract-audio": 0.1}


def _root(folder: Path, *, seconds: float = 1.0, shard: bytes = b"shard", history: bytes = b"1 s") -> Path:
    """A root with one stage, as it is published."""
    stage = folder / "train" / "abc"
    stage.mkdir(parents=True)
    (stage / "shard-00000.h5").write_bytes(shard)
    (stage / "history.jsonl").write_bytes(history)
    (stage / "progress.json").write_text(f"{seconds}", encoding="utf-8")
    files = [
        {
            "name": "shard-00000.h5",
            "bytes": len(shard),
            "sha256": "s",
            "is_record": False,
            "timings": {"wall": seconds},
        },
        {"name": "history.jsonl", "bytes": len(history), "sha256": f"{history!r}", "is_record": True},
    ]
    account = {
        "files": files,
        "seconds": seconds,
        "started_at": f"{seconds}",
        "built": int(seconds),
        "totals": {"ok": 1},
    }
    (stage / "_SUCCESS.json").write_text(json.dumps(account), encoding="utf-8")
    (folder / "train" / "latest").symlink_to("abc")
    return folder


def test_runs_of_another_length_are_the_same(tmp_path: Path) -> None:
    expected = read_snapshot(_root(tmp_path / "a"))
    found = read_snapshot(_root(tmp_path / "b", seconds=9.0, history=b"9 seconds"))

    assert differences(expected, found) == []
    assert set(expected) == {
        "train/latest",
        "train/abc/_SUCCESS.json",
        "train/abc/history.jsonl",
        "train/abc/shard-00000.h5",
    }
    assert published_files(expected) == 1


def test_every_other_difference_is_seen(tmp_path: Path) -> None:
    expected = read_snapshot(_root(tmp_path / "a"))
    root = _root(tmp_path / "b", shard=b"Shard")
    (root / "train" / "abc" / "history.jsonl").unlink()
    (root / "train" / "abc" / ".tmp-1-x").touch()
    (root / "train" / "latest").unlink()
    (root / "train" / "latest").symlink_to("abd")

    assert differences(expected, read_snapshot(root)) == [
        "train/abc/history.jsonl is missing",
        "train/abc/.tmp-1-x is too much",
        "train/abc/shard-00000.h5 differs",
        "train/latest differs",
    ]


def test_an_account_with_other_numbers_differs(tmp_path: Path) -> None:
    expected = read_snapshot(_root(tmp_path / "a"))
    root = _root(tmp_path / "b")
    path = root / "train" / "abc" / "_SUCCESS.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"ok": 1', '"ok": 2'), encoding="utf-8")

    assert differences(expected, read_snapshot(root)) == ["train/abc/_SUCCESS.json differs"]


def test_many_differences_are_told_by_the_first() -> None:
    assert shown(["a", "b"]) == "a; b"
    assert shown(list("abcdef")) == "a; b; c; d and 2 more"


def test_harm_changes_one_byte_of_one_file_and_shortens_another(tmp_path: Path) -> None:
    folder = tmp_path / "decode" / "abc"
    folder.mkdir(parents=True)
    (tmp_path / "decode" / "latest").symlink_to("abc")
    names = ["one", "two", "record"]
    for name in names:
        (folder / name).write_bytes(b"0123456789")
    rows = [{"name": name, "bytes": 10, "is_record": name == "record"} for name in names]
    (folder / "_SUCCESS.json").write_text(json.dumps({"files": rows}), encoding="utf-8")

    harmed = _harm(_published(tmp_path / "decode"), tmp_path, random.Random(1))  # noqa: S311 - no secrets

    assert sorted(harmed) == ["decode/abc/one", "decode/abc/two"]
    assert (folder / "record").read_bytes() == b"0123456789"
    flipped, cut = (tmp_path / name for name in harmed)
    assert sum(a != b for a, b in zip(flipped.read_bytes(), b"0123456789", strict=True)) == 1
    assert len(cut.read_bytes()) < 10
    assert b"0123456789".startswith(cut.read_bytes())


def test_a_process_that_outlives_its_parent_is_still_one_of_the_family(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    place.folder.mkdir()
    # The child works elsewhere, has no environment, and a session of its own, as an ffmpeg has.
    child = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    parent = f"import subprocess, sys; subprocess.run({child}, env={{}}, cwd='/', start_new_session=True)"
    with subprocess.Popen([sys.executable, "-c", parent], cwd=place.folder) as process:
        family = Family(place)
        assert wait_for(lambda: len(family.living()) == 2 and len(place.residents()) == 1, 20)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    assert len(family.living()) == 1
    assert place.residents() == []
    family.end()
    assert wait_for(lambda: not family.living(), 5)


@pytest.mark.parametrize("kills", [50])
def test_strikes_meet_every_target_and_every_stage(kills: int) -> None:
    class Undisturbed:
        seconds = 10.0
        stage_seconds = STAGES

    rng = random.Random(1)  # noqa: S311 - no secrets
    reference: Reference = Undisturbed()  # type: ignore[assignment]  # what draw() looks at
    strikes = [draw(reference, number, TARGETS, rng) for number in range(kills)]

    assert {strike.target for strike in strikes} == set(TARGETS)
    assert {strike.moment.stage for strike in strikes} == {"", *STAGES}
    assert {strike.moment.stage for strike in strikes if strike.target == FFMPEG} == {"sample", "decode"}
    assert all(0 <= strike.moment.seconds <= STAGES.get(strike.moment.stage, 10.0) for strike in strikes)


def test_a_result_tells_what_failed() -> None:
    good, bad = Trial("first"), Trial("second", ("this", "that"))
    result = Result("kills", "finished", (good, bad), 1.0)

    assert (result.passed, result.num_passed) == (False, 1)
    assert result.line() == "kills: 1 of 2 finished (1 s)"
    assert bad.line() == "FAIL  second\n        this\n        that"
    assert Result("disk", "finished", (), skipped="no root").line() == "disk: skipped, no root"
