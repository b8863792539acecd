"""Lines on stderr: progress, and errors without tracebacks; and exit codes."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

from features.base.errors import PipelineError, one_line
from features.base.files import publish_json

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tqdm import tqdm
    from typing_extensions import Never

# Exit code of a command whose settings cannot be used, as of any error before something is scheduled.
UNUSABLE_SETTINGS = 40
PROGRESS_NAME = "progress.json"
# A plain line at most this often, so that the log of a run over days stays readable.
SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_FILES = 2.0


def say(line: str) -> None:
    """Print one line on stderr, as every progress line."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Counts the clips (or epochs) that one stage has done; safe to call from several threads.

    It shows a bar on a terminal, else a plain line now and then, and keeps ``progress.json``.

    Args:
        name: Name of the stage.
        total: What there is to do in this run.
        folder: Where ``progress.json`` is kept, ``None`` for nowhere.
        unit: What is counted.
    """

    def __init__(self, name: str, total: int, folder: Path | None, unit: str = "clip") -> None:
        self._name = name
        self._total = total
        self._file = folder / PROGRESS_NAME if folder is not None else None
        self._unit = unit
        self._done = 0
        self._bytes = 0
        self._lock = threading.Lock()
        self._started = self._said = self._wrote = time.monotonic()
        # The rate counts from the first clip on: what comes before it is the loading of a network.
        self._first_at = 0.0
        self._first_count = 0
        self._bar: tqdm[Never] | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from tqdm import tqdm  # noqa: PLC0415 - terminals only

            self._bar = tqdm(total=self._total, desc=f"{self._name:<15}", unit=self._unit, mininterval=0.2)
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        # The error that ended the stage (a full disk, too) is the one to report.
        with contextlib.suppress(OSError):
            self._write()

    def advance(self, count: int = 1) -> None:
        """Count more of what is done."""
        with self._lock:
            now = time.monotonic()
            if not self._done:
                self._first_at, self._first_count = now, count
            self._done += count
            if self._bar is not None:
                self._bar.update(count)
            elif self._done > self._first_count and now - self._said >= SECONDS_BETWEEN_LINES:
                self._said = now
                say(self.line())
            if now - self._wrote >= SECONDS_BETWEEN_FILES:
                self._wrote = now
                self._write()

    def add_bytes(self, count: int) -> None:
        """Count bytes that came over the network; the rate is shown beside the clips'."""
        with self._lock:
            self._bytes += count
            if self._bar is not None:
                self._bar.set_postfix_str(self._byte_rate(), refresh=False)

    def _byte_rate(self) -> str:
        seconds = time.monotonic() - self._started
        return f"{self._bytes / seconds / 1e6:,.1f} MB/s" if self._bytes and seconds > 0 else ""

    def line(self) -> str:
        """Return the state as one line: done, of how many, how fast, and how long the rest takes."""
        seconds = time.monotonic() - self._first_at
        rate = (self._done - self._first_count) / seconds if self._done and seconds > 0 else 0.0
        left = f"{(self._total - self._done) / rate:,.0f} s left" if rate > 0 else "starting"
        done = f"{self._done:,} of {self._total:,} {self._unit}s"
        parts = (done, f"{rate:,.1f} {self._unit}s/s", self._byte_rate(), left)
        return f"{self._name:<15} {'  '.join(filter(None, parts))}"

    def _write(self) -> None:
        if self._file is None:
            return
        seconds = time.monotonic() - self._started
        state: dict[str, str | int | float] = {
            "stage": self._name,
            "done": self._done,
            "total": self._total,
            "seconds": round(seconds, 1),
        }
        if self._bytes:
            state["bytes"] = self._bytes
        publish_json(self._file, state)


class OneLineErrors(logging.Filter):
    """Log filter that rewrites Luigi's report of a failed task as one line.

    Luigi logs every exception of a task with its traceback. A ``PipelineError`` is one clear line; a stop (SIGTERM,
    Ctrl-C) is no failure to explain. Luigi's scheduling messages below WARNING are dropped, its execution summary is
    kept; ``--log-level DEBUG`` shows everything.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown, after rewriting it where needed."""
        if logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            return True
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            return False
        if isinstance(error, PipelineError):
            task = record.args[2] if isinstance(record.args, tuple) and len(record.args) > 2 else ""  # noqa: PLR2004
            record.msg, record.args = f"{_family(task)} failed: {one_line(error)}", ()
            record.exc_info, record.exc_text = None, None
            return True
        if record.levelno >= logging.WARNING:
            return "Data for" not in record.getMessage()
        return "Execution Summary" in record.getMessage()


def _family(task: object) -> str:
    modality = getattr(task, "modality", "")
    name = str(getattr(task, "task_family", task) or "a stage")
    return f"{name} --modality {modality}" if modality else name
