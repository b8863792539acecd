"""Jobs in processes of their own: every job has its answer, and a death costs one."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tasks.training.worker_pool import run_jobs

if TYPE_CHECKING:
    from pathlib import Path

# Doubles a number; a word ends it in its way; notes its process in the folder that it was started with.
WORKER = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / f"process-{os.getpid()}").touch()
for line in sys.stdin:
    job = json.loads(line)
    if job == "exit":
        sys.exit(3)
    if job == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "wait":
        (folder / "waiting").touch()
        time.sleep(300)
    print(json.dumps([2 * job, os.environ["OMP_NUM_THREADS"]]), flush=True)
"""


def _command(folder: Path) -> list[str]:
    return [sys.executable, "-c", WORKER, str(folder)]


def _processes(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in folder.glob("process-*")]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_every_job_has_its_answer(tmp_path: Path, num_workers: int) -> None:
    results = {item.number: item for item in run_jobs(_command(tmp_path), list(range(10)), num_workers)}

    assert {number: item.value for number, item in results.items()} == {n: [2 * n, "1"] for n in range(10)}
    assert not any(item.death for item in results.values())
    assert 1 <= len(_processes(tmp_path)) <= num_workers


def test_one_process_takes_the_jobs_in_order(tmp_path: Path) -> None:
    assert [item.number for item in run_jobs(_command(tmp_path), [5, 4, 3, 2], 1)] == [0, 1, 2, 3]
    assert len(_processes(tmp_path)) == 1


def test_a_process_that_dies_costs_its_job_alone(tmp_path: Path) -> None:
    found = list(run_jobs(_command(tmp_path), [1, "exit", 2, "kill", 3], 1))

    assert [item.value for item in found] == [[2, "1"], None, [4, "1"], None, [6, "1"]]
    assert [item.death for item in found] == ["", "ended with exit code 3", "", "killed by signal 9", ""]
    assert len(_processes(tmp_path)) == 3


def test_no_job_is_no_process(tmp_path: Path) -> None:
    assert list(run_jobs(_command(tmp_path), [], 4)) == []
    assert _processes(tmp_path) == []


def test_when_the_asker_leaves_what_runs_is_ended(tmp_path: Path) -> None:
    with closing(run_jobs(_command(tmp_path), [1, "wait", "wait"], 2)) as results:
        next(results)
        while not (tmp_path / "waiting").exists():
            time.sleep(0.01)

    assert _processes(tmp_path)
    for process in _processes(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
