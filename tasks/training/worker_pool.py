"""Jobs in worker processes: one that dies loses its job and nothing else.

A worker reads jobs from its standard input, one JSON value a line, and writes one result a line to its standard
output. It serves many jobs, because starting it loads torch, which takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

END_SECONDS = 10.0
# One thread a process: several processes share the cores.
_THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# The folder that a run is started in may contain packages of the same names.
_ENVIRONMENT = {**_THREADS, "PYTHONSAFEPATH": "1"}


@dataclass(frozen=True)
class JobResult:
    """The result of one job.

    Attributes:
        number: Of the job, from 0.
        value: JSON value that the worker returned; ``None`` when it died.
        death: How the worker died, in words; empty when it did not.
    """

    number: int
    value: Any
    death: str = ""


def run_jobs(command: Sequence[str], jobs: Sequence[object], num_workers: int) -> Generator[JobResult, None, None]:
    """Yield the result of each job as it completes; jobs start in their order.

    Args:
        command: Starts a worker.
        jobs: JSON values.
        num_workers: Processes side by side; at least 1.
    """
    workers = [_Worker(command) for _ in range(min(num_workers, len(jobs)))]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def result_of(number: int) -> JobResult:
        worker = idle.get()
        try:
            return worker.result(number, jobs[number])
        finally:
            idle.put(worker)

    try:
        with ThreadPoolExecutor(max(1, len(workers))) as threads:
            futures = [threads.submit(result_of, number) for number in range(len(jobs))]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                # The consumer may have stopped iterating: cancel pending jobs, stop running ones.
                for future in futures:
                    future.cancel()
                for worker in workers:
                    worker.kill()
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """A process that is started when there is a job for it, and again after it died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._killed = False
        self._starting = threading.Lock()

    def result(self, number: int, job: object) -> JobResult:
        """Return the process's result of a job."""
        process = self._started()
        line = ""
        # A dead process does not take the job.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(job), file=process.stdin, flush=True)
            line = process.stdout.readline() if process.stdout else ""
        if line.endswith("\n"):
            return JobResult(number, json.loads(line))
        return JobResult(number, None, self.close())

    def _started(self) -> subprocess.Popen[str]:
        with self._starting:
            if self._killed:
                raise CancelledError
            # Not in the terminal's process group, so that Ctrl-C reaches the parent alone, which stops the workers.
            self._process = self._process or subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **_ENVIRONMENT},
                text=True,
                start_new_session=True,
            )
            return self._process

    def kill(self) -> None:
        """End the process now; there will be no other."""
        with self._starting:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> str:
        """Wait for the end of the process, and return how it ended."""
        process, self._process = self._process, None
        if process is None:
            return ""
        # Input that a dead process did not read is lost.
        with contextlib.suppress(BrokenPipeError), process:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        code = process.wait()
        return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
