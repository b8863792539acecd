from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tasks.core import locking
from tasks.core.locking import ALREADY_RUNNING, hold_root, holder_of

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import pathlib, sys
from tasks.core import locking
from tasks.core.locking import hold_root
hold_root(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_turned_away_with_the_holder_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert holder_of(tmp_path) == other.pid

        with pytest.raises(SystemExit) as stopped:
            hold_root(tmp_path)

        assert stopped.value.code == ALREADY_RUNNING == 10
        assert f"in use by process {other.pid}" in capsys.readouterr().err
        other.communicate("")
    assert holder_of(tmp_path) is None


def test_the_holder_may_ask_again(tmp_path: Path) -> None:
    hold_root(tmp_path / "root")
    hold_root(tmp_path / "root")

    assert (tmp_path / "root" / ".lock").read_text(encoding="utf-8") == f"{os.getpid()}\n"
    locking._held.pop(tmp_path / "root").close()


def test_an_unused_root_has_no_holder(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "nowhere") is None


def test_a_root_that_cannot_be_a_folder_ends_the_command_with_40(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SystemExit) as stopped:
            hold_root(root)
        assert stopped.value.code == 40
        told = capsys.readouterr().err
        assert told.startswith(f"error: {root} cannot be used (")
        assert told.endswith("): set [paths] root to a folder that can be written\n")
        assert root not in locking._held
        assert holder_of(root) is None


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        other.kill()
        other.wait()

    # Its number is still in the file.
    assert (tmp_path / ".lock").read_text(encoding="utf-8") == f"{other.pid}\n"
    assert holder_of(tmp_path) is None
    hold_root(tmp_path)
    assert (tmp_path / ".lock").read_text(encoding="utf-8") == f"{os.getpid()}\n"
    locking._held.pop(tmp_path).close()


# Forks a child that holds the lock as long as its standard input is open, and ends.
HOLD_IN_CHILD = """
import os, pathlib, sys
from tasks.core.locking import hold_root
hold_root(pathlib.Path(sys.argv[1]))
if not os.fork():
    os.write(1, b"held\\n")
    sys.stdin.read()
"""


def test_a_root_stays_locked_while_a_child_of_the_holder_lives(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_IN_CHILD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "held\n"
        parent.wait(20)
        # The parent is gone; the child that inherited the lock is still at work.
        assert holder_of(tmp_path) == parent.pid
        parent.communicate("")
    # The child ends with its standard input.
    for _ in range(400):
        if holder_of(tmp_path) is None:
            break
        time.sleep(0.02)
    assert holder_of(tmp_path) is None


def test_a_look_of_a_moment_does_not_turn_a_run_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        waits: list[float] = []

        def leave(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                fcntl.flock(look, fcntl.LOCK_UN)

        monkeypatch.setattr("tasks.core.locking.time.sleep", leave)
        hold_root(tmp_path)
    assert waits == [locking.SECONDS_BETWEEN_ATTEMPTS] * 2
    locking._held.pop(tmp_path).close()


def test_a_holder_without_a_number_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert holder_of(tmp_path) is None
        with pytest.raises(SystemExit):
            hold_root(tmp_path)
    assert "in use by process unknown: wait for it" in capsys.readouterr().err
