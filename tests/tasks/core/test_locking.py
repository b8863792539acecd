from __future__ import annotations

import os
import subprocess
import sys
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
