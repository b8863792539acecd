"""Roots on a disk that is full, or that cannot be written."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stress.bench import finish, orphans
from tests.stress.corpora import SAMPLE, SERVED
from tests.stress.disks import Disk, small_disk, why_no_disk
from tests.stress.place import Family
from tests.stress.results import Result, Trial
from tests.stress.strikes import PARENT, Moment, Strike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stress.bench import Bench, Reference
    from tests.stress.place import Place, Run

# Room on the disk, as a share of what a whole run takes: the last ones leave too little for the last stages.
FULL_SHARES = (0.0, 0.1, 0.35, 0.6, 0.8, 0.93, 0.97)
AMPLE_FACTOR = 3
# Room for the lock and for folders.
LEAST_BYTES = 1 << 14
FULL, READ_ONLY, FORBIDDEN = "No space left on device", "Read-only file system", "Permission denied"
STAGE_FAILED, UNUSABLE = 30, 40


def full_disk(bench: Bench) -> Result:
    """Return the result of runs on disks that are too small, each finished after the disk grew."""
    claim = "ended with 30 and one line a stage that names the disk; once there is room: finished, identical bytes"
    reason = why_no_disk()
    if reason:
        return Result("full disk", claim, (), skipped=reason)
    return bench.try_all("full disk", claim, lambda share: _full(bench, share), FULL_SHARES)


def _full(bench: Bench, share: float) -> Trial:
    reference = bench.references.get(SERVED) or bench.references[SAMPLE]
    place = bench.place(reference.corpus, f"full-{round(100 * share):02d}")
    size = LEAST_BYTES + int(share * reference.disk_bytes)
    with small_disk(place.root, size) as disk:
        code, run = place.run_all()
        busy = place.busy_stages()
        problems = _refusal(place, code, run, FULL, {STAGE_FAILED})
        disk.resize(AMPLE_FACTOR * reference.disk_bytes)
        problems += finish(place, reference)
    trial = Trial(
        f"{size / 2**20:.2f} MiB of {reference.disk_bytes / 2**20:.2f} (in {' '.join(busy)})",
        tuple(problems),
        {"bytes": size, "in": " ".join(busy), "code": code},
    )
    bench.forget(place, passed=trial.passed)
    return trial


def read_only(bench: Bench) -> Result:
    """Return the result of runs on a root that cannot be written, each finished after it can."""
    claim = "ended with 30 or 40 and one line (a complete one with 0); made writable again: finished, identical bytes"
    reason = why_no_disk() if os.geteuid() == 0 else ""
    if reason:
        return Result("read-only", claim, (), skipped=f"root may write anywhere, and {reason}")
    states = ("empty", "begun", "complete")
    return bench.try_all("read-only", claim, lambda state: _read_only(bench, state), states)


def _read_only(bench: Bench, state: str) -> Trial:
    reference = bench.references.get(SERVED) or bench.references[SAMPLE]
    place = bench.place(reference.corpus, f"read-only-{state}")
    problems: list[str] = []
    with _own_disk(place, reference):
        _bring_to(state, place)
        with _not_writable(place.root):
            code, run = place.run_all()
        if state == "complete":
            problems += [] if code == 0 else [f"exit code {code}, expected 0: nothing is to be done: {run.tail()}"]
        else:
            why = READ_ONLY if os.geteuid() == 0 else FORBIDDEN
            problems += _refusal(place, code, run, why, {STAGE_FAILED, UNUSABLE})
        problems += finish(place, reference)
    trial = Trial(f"a root that is {state}", tuple(problems), {"code": code})
    bench.forget(place, passed=trial.passed)
    return trial


def _bring_to(state: str, place: Place) -> None:
    if state == "complete":
        place.run_all()
    elif state == "begun":
        family = Family(place)
        run = place.start("RunAll")
        Strike(Moment("decode", 0.5), PARENT).hit(place, run, signal.SIGKILL, family)
        run.wait()
        orphans(family)


def _refusal(place: Place, code: int, run: Run, why: str, codes: set[int]) -> list[str]:
    """Return what is wrong with how a run gave up."""
    problems = orphans(Family(place))[1]
    lines = [line for line in run.text().splitlines() if why in line]
    if code not in codes:
        problems.append(f"exit code {code}, expected one of {sorted(codes)}: {run.tail()}")
    if not lines:
        problems.append(f"no line says {why!r}: {run.tail()}")
    problems += [f"a line that does not name {place.root}: {line}" for line in lines if str(place.root) not in line]
    if "Traceback" in run.text():
        problems.append(f"a traceback in {run.log}")
    return problems


@contextmanager
def _own_disk(place: Place, reference: Reference) -> Iterator[None]:
    """Put the root on a disk of its own where the user may mount one; another user's rights end at chmod."""
    if os.geteuid() != 0:
        place.root.mkdir()
        yield
        return
    with small_disk(place.root, AMPLE_FACTOR * reference.disk_bytes):
        yield


@contextmanager
def _not_writable(root: Path) -> Iterator[None]:
    if os.geteuid() == 0:
        Disk(root).forbid_writing()
        try:
            yield
        finally:
            Disk(root).allow_writing()
        return
    folders = [Path(above) for above, _, _ in os.walk(root)]
    modes = [folder.stat().st_mode for folder in folders]
    for folder in reversed(folders):
        folder.chmod(0o555)
    try:
        yield
    finally:
        for folder, mode in zip(folders, modes, strict=True):
            folder.chmod(mode)
