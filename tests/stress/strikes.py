"""When a run is struck, and which of its processes."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from tests.stress.place import POLL_SECONDS, wait_for

if TYPE_CHECKING:
    import random
    import signal
    from collections.abc import Callable

    from tests.stress.bench import Reference
    from tests.stress.place import Family, Place, Run

# What is struck: the process that schedules, its whole process group, the process of the stage, one ffmpeg.
PARENT, GROUP, TASK, FFMPEG = "parent", "group", "task", "ffmpeg"
TARGETS = (PARENT, GROUP, TASK, FFMPEG)
# Before that Python is still importing Luigi, and no run has begun.
FIRST_SECONDS = 0.5


@dataclass(frozen=True)
class Moment:
    """A point of a run.

    Attributes:
        stage: It counts from the moment at which this stage begins; ``""`` = from the start of the command.
        seconds: Time after that.
    """

    stage: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s into {self.stage or 'the run'}"

    def reached(self, place: Place, run: Run) -> bool:
        """Wait for the moment and return whether the run is still at work then."""
        if self.stage:
            begun = place.root / self.stage
            wait_for(lambda: _ended(run) or any(begun.glob("*/params.json")), float("inf"))
        time.sleep(self.seconds)
        return not _ended(run)


@dataclass(frozen=True)
class Strike:
    """A moment and a target."""

    moment: Moment
    target: str

    def __str__(self) -> str:
        return f"{self.target} at {self.moment}"

    def hit(self, place: Place, run: Run, number: signal.Signals, family: Family) -> bool:
        """Send the signal when the moment has come; return whether the target was still there."""
        if not self.moment.reached(place, run):
            return False
        family.living()
        if self.target == PARENT:
            run.process.send_signal(number)
            return True
        if self.target == GROUP:
            os.killpg(run.process.pid, number)
            return True
        find = _task if self.target == TASK else _ffmpeg
        return _hit_child(run, find, number)


def draw(reference: Reference, number: int, targets: tuple[str, ...], rng: random.Random) -> Strike:
    """Return strike ``number`` of a series: targets in turn, moments at random.

    Half of the moments are uniform over the whole run. The others are uniform over one stage, the stages in
    turn, so that the short ones are met too. One ffmpeg can be met in Decode and SampleCorpus only.
    """
    target = targets[number % len(targets)]
    stages = [name for name in sorted(reference.stage_seconds) if target != FFMPEG or name in {"decode", "sample"}]
    turn, place = divmod(number, len(targets))
    if target == FFMPEG or turn % 2:
        count = turn if target == FFMPEG else turn // 2 * len(targets) + place
        stage = stages[count % len(stages)]
        return Strike(Moment(stage, rng.uniform(0, reference.stage_seconds[stage])), target)
    return Strike(Moment("", rng.uniform(FIRST_SECONDS, reference.seconds)), target)


def _hit_child(run: Run, find: Callable[[psutil.Process], psutil.Process | None], number: int) -> bool:
    parent = psutil.Process(run.process.pid)
    while not _ended(run):
        with contextlib.suppress(psutil.NoSuchProcess):
            child = find(parent)
            if child is not None:
                child.send_signal(number)
                return True
        time.sleep(POLL_SECONDS)
    return False


def _task(parent: psutil.Process) -> psutil.Process | None:
    return next((child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE), None)


def _ffmpeg(parent: psutil.Process) -> psutil.Process | None:
    family = parent.children(recursive=True)
    # Between fork and exec it still bears the name of the process that started it.
    return next((child for child in family if child.name().startswith("ffmpeg")), None)


def _ended(run: Run) -> bool:
    return run.process.poll() is not None
