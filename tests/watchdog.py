"""Ends a run whose workers have died or hang, and names the tests that were running.

pytest-xdist notices a worker's death when its pipe closes. A process that the worker has forked keeps that pipe open,
and pytest-xdist waits for ever, as it does for a worker that hangs. It does not report by which signal a worker died.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Eight minutes on two quiet cores, twenty-five on busy ones.
MAX_RUN_SECONDS = 3600.0
# What pytest-xdist takes to notice a death, and more.
UNNOTICED_SECONDS = 30.0
# What the end of a run takes, with workers that have to be killed.
ENDING_SECONDS = 60.0
INTERRUPTED = 2


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the watchdog in the process that distributes the tests."""
    if config.pluginmanager.hasplugin("dsession"):
        config.pluginmanager.register(Watchdog(), "watchdog")


class Watchdog:
    """Checks the workers once a second; interrupts the run as Ctrl-C does when the time is over or a worker is gone."""

    def __init__(self) -> None:
        self._running: dict[str, float] = {}
        self._num_noticed = 0
        self._deaths: dict[int, str] = {}
        self._ended = threading.Event()
        self._reason = ""

    def pytest_sessionstart(self) -> None:
        """Start the watching thread."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # A process started in the background ignores Ctrl-C, and with it the interruption by this watchdog.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=self._watch, daemon=True).start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Collect the deaths before pytest-xdist ends its workers, and stop watching."""
        self._ended.set()
        self._deaths.update(_deaths())

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record the start of a test."""
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Record the end of a test."""
        self._running.pop(nodeid, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, error: object) -> None:
        """Count a dead worker; a worker that ended in order has no error."""
        self._num_noticed += error is not None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print how workers died and why the run was ended."""
        for line in filter(None, (*self._deaths.values(), self._reason)):
            terminalreporter.write_line(line, red=True)

    def _watch(self) -> None:
        why = ""
        started = noticed_at = time.monotonic()
        while not why and not self._ended.wait(1.0):
            self._deaths.update(_deaths())
            now = time.monotonic()
            if len(self._deaths) <= self._num_noticed:
                noticed_at = now
            if now - noticed_at > UNNOTICED_SECONDS:
                why = "a worker died, and pytest-xdist did not notice"
            elif now - started > MAX_RUN_SECONDS:
                why = f"{MAX_RUN_SECONDS:g} s are over"
        if why:
            self._end(why)

    def _end(self, why: str) -> None:
        tests = [f"  {name} ({time.monotonic() - since:.0f} s)" for name, since in list(self._running.items())]
        self._reason = "\n".join([f"{why}; tests that were running:", *tests])
        os.kill(os.getpid(), signal.SIGINT)
        # The end ends this thread too.
        time.sleep(ENDING_SECONDS)
        os.write(2, "\n".join(["", *self._deaths.values(), self._reason, ""]).encode())
        os._exit(INTERRUPTED)


def _deaths() -> Iterator[tuple[int, str]]:
    """Yield the process id of each worker that did not end in order, and how it ended."""
    for child in psutil.Process().children():
        found = None
        if child.is_running() and child.status() == psutil.STATUS_ZOMBIE:
            # Its exit code is left for pytest-xdist.
            found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None and found.si_code != os.CLD_EXITED:
            yield child.pid, f"worker process {child.pid} was killed by {signal.Signals(found.si_status).name}"
        elif found is not None and found.si_status:
            yield child.pid, f"worker process {child.pid} ended with exit code {found.si_status}"
