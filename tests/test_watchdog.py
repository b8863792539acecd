"""A run over several workers ends when a worker is gone, and names what it was doing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("xdist", reason="shares the tests among workers")

HOME = Path(__file__).parent.parent
# What the run of this very test would tell the run that it starts.
OURS = ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")
KILLED = """
import os, signal, time
def test_a(): pass
def test_killed():
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
"""
FINE = "def test_fine(): pass\ndef test_also_fine(): pass\n"
HANGS = "import time\ndef test_a(): pass\ndef test_hangs(): time.sleep(1000)\n"
# Its time is over once it hangs, however long the workers took to start.
CONFTEST = """
import tests.watchdog
pytest_plugins = ["tests.watchdog"]
tests.watchdog.UNNOTICED_SECONDS = 1.0
def pytest_runtest_logstart(nodeid):
    if nodeid.endswith("test_hangs"):
        tests.watchdog.MAX_RUN_SECONDS = 0.0
"""
# The child keeps the pipe of its parent.
FORKS = "os.fork() or (time.sleep(15), os._exit(0))"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "code", "expected"),
    [
        (
            KILLED.format(before="pass"),
            1,
            ("crashed while running 'test_first.py::test_killed'", "was killed by SIGKILL"),
        ),
        (KILLED.format(before=FORKS), 2, ("pytest-xdist did not notice", "test_first.py::test_killed (", "SIGKILL")),
        (HANGS, 2, ("0 s are over; tests that were running:", "test_first.py::test_hangs (")),
    ],
    ids=["killed", "killed unnoticed", "hangs"],
)
def test_a_run_ends_with_the_name_of_the_test(tmp_path: Path, first: str, code: int, expected: tuple[str, ...]) -> None:
    (tmp_path / "test_first.py").write_text(first, encoding="utf-8")
    for name in ("second", "third"):
        (tmp_path / f"test_{name}.py").write_text(FINE, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    started = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n2", "--dist=loadfile", "--max-worker-restart=0", "-c", os.devnull, "."],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )

    assert done.returncode == code, done.stdout
    assert [words for words in expected if words not in done.stdout] == [], done.stdout
    assert time.monotonic() - started < 150
