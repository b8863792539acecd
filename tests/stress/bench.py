"""What all scenarios share: the corpora, their undisturbed runs, and how a disturbed run is judged."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tests.stress.corpora import of_one_run
from tests.stress.place import Family, Place, wait_for
from tests.stress.results import Result, Trial, say
from tests.stress.snapshot import differences, disk_bytes, read_snapshot, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from tests.stress.corpora import Corpus

Job = TypeVar("Job")
# A killed run's processes have so long to notice and to go.
ORPHAN_SECONDS = 15.0


@dataclass(frozen=True)
class Reference:
    """A run that was left alone.

    Attributes:
        corpus: What it ran on.
        place: Where it lies; nobody changes it.
        snapshot: What it published.
        seconds: Wall time of the run.
        stage_seconds: Wall time by stage.
        disk_bytes: Space that its root takes.
        leftovers: What it left in its temporary folder: caches of libraries, whatever becomes of a run.
    """

    corpus: Corpus
    place: Place
    snapshot: Mapping[str, str]
    seconds: float
    stage_seconds: Mapping[str, float]
    disk_bytes: int
    leftovers: frozenset[str]


@dataclass(frozen=True)
class Bench:
    """Where the scenarios work.

    Attributes:
        folder: Everything lies below it.
        references: By name of the corpus.
        jobs: Trials at a time.
        seed: Of everything random.
        keep: Whether the folders of trials that passed stay.
    """

    folder: Path
    references: Mapping[str, Reference]
    jobs: int
    seed: int
    keep: bool = False

    def place(self, corpus: Corpus, name: str) -> Place:
        """Return a new place for runs on a corpus."""
        place = Place(self.folder / name)
        place.configure(of_one_run(corpus, name))
        return place

    def forget(self, place: Place, *, passed: bool) -> None:
        """Remove a place unless something is to be looked at."""
        if passed and not self.keep:
            shutil.rmtree(place.folder, ignore_errors=True)

    def try_all(self, scenario: str, claim: str, attempt: Callable[[Job], Trial], jobs: Iterable[Job]) -> Result:
        """Return the result of trying every job, some of them side by side, each told as it ends."""

        def told(job: Job) -> Trial:
            trial = attempt(job)
            say(f"  {scenario}: {trial.line()}")
            return trial

        started = time.monotonic()
        with ThreadPoolExecutor(self.jobs) as pool:
            trials = tuple(pool.map(told, jobs))
        return Result(scenario, claim, trials, time.monotonic() - started)


def undisturbed(folder: Path, corpus: Corpus) -> Reference:
    """Return a run on a corpus that nobody disturbs.

    Raises:
        RuntimeError: It failed.
    """
    place = Place(folder / f"reference-{corpus.name}")
    place.configure(of_one_run(corpus, place.folder.name))
    started = time.monotonic()
    code, run = place.run_all()
    seconds = time.monotonic() - started
    if code != 0:
        raise RuntimeError(f"the undisturbed run ended with {code}: {run.tail()}")
    accounts = [json.loads(path.read_text(encoding="utf-8")) for path in place.root.glob("*/latest/_SUCCESS.json")]
    return Reference(
        corpus=corpus,
        place=place,
        snapshot=read_snapshot(place.root),
        seconds=seconds,
        stage_seconds={account["stage"]: float(account["seconds"]) for account in accounts},
        disk_bytes=disk_bytes(place.root),
        leftovers=frozenset(place.leftovers()),
    )


def orphans(family: Family) -> tuple[float, list[str]]:
    """Return how many seconds it took until no process of a place was left, and a line for each that stayed."""
    started = time.monotonic()
    if wait_for(lambda: not family.living(), ORPHAN_SECONDS):
        return time.monotonic() - started, []
    stayed = [f"orphan after {ORPHAN_SECONDS:g} s: {process}" for process in family.living()]
    family.end()
    return ORPHAN_SECONDS, stayed


def finish(place: Place, reference: Reference, *options: str) -> list[str]:
    """Return what is wrong after RunAll was run again, to its end."""
    code, run = place.run_all(*options)
    problems = [] if code == 0 else [f"the next run ended with {code}: {run.tail()}"]
    if "Traceback" in run.text():
        problems.append(f"a traceback in {run.log}")
    return problems + compare(place, reference)


def compare(place: Place, reference: Reference) -> list[str]:
    """Return how a place that is done differs from the undisturbed one; temporary files and processes count."""
    problems = orphans(Family(place))[1]
    lines = differences(reference.snapshot, read_snapshot(place.root))
    if lines:
        problems.append(f"{len(lines)} files are not those of the undisturbed run: {shown(lines)}")
    left = [name for name in place.leftovers() if name not in reference.leftovers]
    if left:
        problems.append(f"{len(left)} temporary files stayed: {shown(left)}")
    return problems
