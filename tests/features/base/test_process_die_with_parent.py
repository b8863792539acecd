from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from features.base.process import die_with_parent

# Starts a child that asks to end with it, and waits to be killed.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
time.sleep(100)
"""
CHILD = """
import os, time
from features.base.process import die_with_parent
die_with_parent()
print(os.getpid(), flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_ends_with_its_parent_however_that_ends(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()

        os.kill(parent.pid, how)
        parent.wait(20)

    deadline = time.monotonic() + 20.0
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_elsewhere_than_on_linux_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr("features.base.process.sys.platform", "darwin")
    monkeypatch.setattr("features.base.process.ctypes.CDLL", None)
    die_with_parent()
