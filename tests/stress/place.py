"""One folder in which the real command runs, watched from outside."""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from features.base.files import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# No run of this program's corpora takes nearly as long on an idle machine.
TIMEOUT_SECONDS = 900.0
POLL_SECONDS = 0.005
MAX_TAIL_LINES = 4


@dataclass(frozen=True)
class Run:
    """One command that was started, and the file that takes what it prints."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> int:
        """Return the exit code, negative for a signal, once the command has ended."""
        return self.process.wait(TIMEOUT_SECONDS)

    def text(self) -> str:
        """Return what was printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """Return the last lines that tell of a failure, else the last lines, as one line for a message."""
        lines = [line for line in self.text().splitlines() if line.strip()]
        telling = [line for line in lines if " failed: " in line or "rror" in line]
        return " | ".join((telling or lines)[-MAX_TAIL_LINES:])


@dataclass(frozen=True)
class Place:
    """A folder with a configuration, a root, and a temporary folder of its own.

    A process belongs to it when it works in ``folder`` or names it; the rest is found by :class:`Family`.
    """

    folder: Path

    @property
    def root(self) -> Path:
        """The root of the runs; may be a mounted disk."""
        return self.folder / "runs"

    @property
    def temporary(self) -> Path:
        """What the runs see as ``TMPDIR``."""
        return self.folder / "tmp"

    def configure(self, sections: Mapping[str, Mapping[str, str]]) -> None:
        """Make the folder, empty apart from a configuration."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        config = configparser.ConfigParser(interpolation=None)
        config.read_dict(sections)
        with (self.folder / "stress.cfg").open("w", encoding="utf-8") as stream:
            config.write(stream)

    def start(self, *arguments: str) -> Run:
        """Start ``luigi --module pipeline`` in a process group of its own."""
        return self._start([str(Path(sys.executable).with_name("luigi")), "--module", "pipeline", *arguments])

    def run_all(self, *options: str) -> tuple[int, Run]:
        """Return the exit code of a whole RunAll, and the run."""
        run = self.start("RunAll", *options)
        return run.wait(), run

    def pipeline(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code of ``python -m pipeline`` and everything that it printed."""
        run = self._start([sys.executable, "-m", "pipeline", *arguments])
        return run.wait(), run.text()

    def _start(self, argv: list[str]) -> Run:
        log = self.folder / f"log-{len(list(self.folder.glob('log-*.txt'))):03d}.txt"
        settings = {
            "LUIGI_CONFIG_PATH": str(self.folder / "stress.cfg"),
            "TMPDIR": str(self.temporary),
            "OMP_NUM_THREADS": "1",
        }
        with log.open("wb") as stream:
            process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env={**os.environ, **settings},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Run(process, log)

    def residents(self) -> list[psutil.Process]:
        """Return every living process that works in this folder or names it."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                where = [f"{text}/" for text in (process.cwd(), *process.cmdline())]
                if process.status() != psutil.STATUS_ZOMBIE and any(f"{self.folder}/" in text for text in where):
                    found.append(process)
        return found

    def leftovers(self) -> list[str]:
        """Return every temporary file and folder, relative to this one."""
        below_root = [path for path in self.root.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]
        found = [*below_root, *self.temporary.rglob("*")]
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def busy_stages(self) -> list[str]:
        """Return the stages that were begun and are not complete."""
        begun = {path.parent for path in self.root.glob("*/*/params.json") if not path.parent.is_symlink()}
        return sorted(folder.parent.name for folder in begun if not (folder / "_SUCCESS.json").exists())


class Family:
    """The processes of a place: those that work in its folder or name it, and all that these have started.

    What a killed process leaves behind has another parent at once, so look before the kill.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: set[psutil.Process] = set()

    def living(self) -> list[psutil.Process]:
        """Return those that are alive now, and remember them."""
        alive = {process for process in self._known if _is_alive(process)} | set(self._place.residents())
        for process in list(alive):
            with contextlib.suppress(psutil.NoSuchProcess):
                alive |= {child for child in process.children(recursive=True) if _is_alive(child)}
        self._known = alive
        return sorted(alive, key=lambda process: process.pid)

    def end(self) -> None:
        """Kill those that are alive, by process id."""
        for process in self.living():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether the condition came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
