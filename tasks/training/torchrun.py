"""One training by several processes, one a GPU where there are GPUs: ``torchrun`` starts them.

Started by Train, or by hand on the plan that Train leaves beside its checkpoint::

    torchrun --standalone --nproc-per-node 2 -m tasks.training.torchrun DATA.json PLAN.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from features.base.errors import PipelineError, SettingError, StageFailedError, one_line
from features.base.files import publish_json
from features.base.machine import resolve_device
from features.base.process import die_with_parent
from models.config.artifacts import HISTORY_NAME
from tasks.core.console import say
from tasks.training.training_job import TrainingData, TrainingFacts, TrainingPlan, train_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.config.training import TrainConfig

DATA_NAME = "torchrun-data.json"
PLAN_NAME = "torchrun-plan.json"
FACTS_NAME = "torchrun-facts.json"
_POLL_SECONDS = 0.5


def num_processes(config: TrainConfig) -> int:
    """Return the number of training processes: the setting, or one for each GPU where it is 0."""
    if config.num_processes:
        return config.num_processes
    if config.device.startswith("cuda:"):
        return 1
    from models.data.distributed import num_gpus  # noqa: PLC0415 - loads torch

    return max(1, num_gpus() if config.device != "cpu" else 0)


def check_machine(config: TrainConfig) -> None:
    """Check the settings against the GPUs of this machine and the size of the batch.

    Raises:
        SettingError: There are fewer GPUs than processes, and they are not to compute on the CPU; the device is
            ``cuda`` and there is no GPU; or the batch is too small to be shared.
    """
    from models.data.distributed import num_gpus  # noqa: PLC0415 - as above

    try:
        device = resolve_device(config.device)
    except PipelineError as error:
        raise SettingError(f"[train] {error}") from error
    number = num_processes(config)
    if number > 1 and config.device.startswith("cuda:"):
        raise SettingError(
            f"[train] num_processes is {number} and device is {config.device!r}, which is one GPU: set device to cuda,"
            " or num_processes to 1"
        )
    if device.type == "cuda" and number > num_gpus():
        raise SettingError(
            f"[train] num_processes is {number}, but there are {num_gpus()} GPUs: give {num_gpus()} or 0, or device ="
            " cpu"
        )
    if number > 1 and config.batch_size // 2 < number:
        raise SettingError(
            f"[train] num_processes is {number}, and they cannot share batches of {config.batch_size}: raise batch_size"
            f" to at least {2 * number}, or lower num_processes"
        )


def train_together(data: TrainingData, plan: TrainingPlan, number: int, on_epoch: Callable[[], None]) -> TrainingFacts:
    """Train in ``number`` processes and return the facts of the training.

    Args:
        data: What is learnt from.
        plan: How, and where to.
        number: Processes; at least 2.
        on_epoch: Called after each epoch of this run.

    Raises:
        StageFailedError: A process failed; its error is on the screen.
    """
    files = [plan.folder / name for name in (DATA_NAME, PLAN_NAME, FACTS_NAME)]
    data.write(files[0])
    publish_json(files[1], plan.to_json())
    files[2].unlink(missing_ok=True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
    # The folder that a run is started in may contain packages of the same names.
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": str(max(1, plan.train.num_threads))}
    seen = _num_epochs(plan.folder)
    with subprocess.Popen(
        [*launcher, "-m", "tasks.training.torchrun", str(files[0]), str(files[1])],
        env=environment,
        start_new_session=True,
        # Its processes follow torchrun, and torchrun follows this one, however it ends.
        preexec_fn=die_with_parent,  # noqa: PLW1509 - it calls nothing but prctl(2)
    ) as process:
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                seen = _report_new_epochs(plan.folder, seen, on_epoch)
        finally:
            # torchrun ends its processes on SIGTERM.
            process.terminate()
    _report_new_epochs(plan.folder, seen, on_epoch)
    if process.returncode or not files[2].exists():
        raise StageFailedError(
            f"the {number} processes of the training ended with exit code {process.returncode}: fix the errors"
            " above, or train in one with [train] num_processes = 1; the same command resumes after the last epoch"
        )
    facts = TrainingFacts(**json.loads(files[2].read_text(encoding="utf-8")))
    for path in files:
        path.unlink()
    return facts


def _report_new_epochs(folder: Path, seen: int, on_epoch: Callable[[], None]) -> int:
    now = _num_epochs(folder)
    # A training that starts afresh has fewer epochs than the one before it.
    for _ in range(now - min(seen, now)):
        on_epoch()
    return now


def _num_epochs(folder: Path) -> int:
    try:
        return len((folder / HISTORY_NAME).read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return 0


def main(data_path: Path, plan_path: Path) -> None:
    """Run one of the processes."""
    from models.data.distributed import own_slice, process_group  # noqa: PLC0415 - loads torch

    die_with_parent()
    plan = TrainingPlan.from_json(json.loads(plan_path.read_text(encoding="utf-8")))
    with process_group(plan.train.device) as device:
        facts = TrainingFacts.of(train_here(TrainingData.read(data_path), plan, device=str(device)))
        if own_slice().rank == 0:
            publish_json(plan.folder / FACTS_NAME, vars(facts))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except PipelineError as error:
        say(f"error: {one_line(error)}")
        raise SystemExit(1) from None
    # Everything is on disk. Threads of gloo may still be there, and a C++ program that ends with such threads aborts.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
