"""Runs that are killed or stopped at random moments, then finished by the same command."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.stress.bench import compare, finish, orphans
from tests.stress.corpora import SAMPLE, SERVED
from tests.stress.place import Family
from tests.stress.results import Result, Trial
from tests.stress.strikes import FFMPEG, FIRST_SECONDS, GROUP, PARENT, TARGETS, TASK, Moment, Strike, draw

if TYPE_CHECKING:
    from tests.stress.bench import Bench, Reference
    from tests.stress.place import Place

FINISHED = "finished, identical bytes, no orphan process, no leftover temporary file"
# Every so many-th run is one on the embedded corpus, whose clips are rendered by the first stage.
SAMPLE_EVERY = 3
# A run that ended before its moment came is tried again on an empty root.
MAX_MISSES = 5
# A run of a chain lives at most this share of an undisturbed one, so that a chain needs many of them.
CHAIN_SHARE = 0.35
# Exit codes after a signal, by target. A killed ffmpeg costs Decode nothing; SampleCorpus cannot do without it.
CODES = {
    signal.SIGKILL: {PARENT: {-9}, GROUP: {-9}, TASK: {30}, FFMPEG: {0, 30}},
    signal.SIGTERM: {PARENT: {143}, GROUP: {143}},
}


def kill_each(bench: Bench, count: int) -> Result:
    """Return the result of ``count`` runs, each killed once, finished, and compared."""
    result = bench.try_all("kill each", FINISHED, lambda number: _round(bench, number, signal.SIGKILL), range(count))
    hit = Counter(stage for trial in result.trials for stage in str(trial.facts.get("in", "")).split())
    return replace(result, facts={"kills": count, "seed": bench.seed, "stages_hit": dict(sorted(hit.items()))})


def terminate_each(bench: Bench, count: int) -> Result:
    """Return the result of ``count`` runs, each stopped once by SIGTERM, finished, and compared."""
    claim = f"ended with 143 and without a traceback, then {FINISHED}"
    return bench.try_all("stop each", claim, lambda number: _round(bench, number, signal.SIGTERM), range(count))


def kill_chain(bench: Bench, count: int) -> Result:
    """Return the result of one root on which ``count`` runs in a row are killed before one may finish."""
    claim = f"roots {FINISHED}"
    return bench.try_all("kill chain", claim, lambda kills: _chain(bench, kills), [count] if count else [])


def _reference(bench: Bench, number: int) -> Reference:
    name = SAMPLE if number % SAMPLE_EVERY == SAMPLE_EVERY - 1 else SERVED
    return bench.references.get(name) or next(iter(bench.references.values()))


def _round(bench: Bench, number: int, sent: signal.Signals) -> Trial:
    reference = _reference(bench, number)
    rng = random.Random(f"{bench.seed} {sent.name} {number}")  # noqa: S311 - moments, no secrets
    targets = TARGETS if sent == signal.SIGKILL else (PARENT, GROUP)
    name = f"{sent.name.lower()}-{number:03d}"
    for _ in range(MAX_MISSES):
        strike = draw(reference, number, targets, rng)
        if sent == signal.SIGTERM and not strike.moment.stage:
            # While Python still imports, nobody can handle it: count from the first stage on.
            strike = Strike(replace(strike.moment, stage="manifest"), strike.target)
        place = bench.place(reference.corpus, name)
        started = time.monotonic()
        family = Family(place)
        run = place.start("RunAll")
        if strike.hit(place, run, sent, family):
            break
        run.wait()
    else:
        return Trial(f"{name} {strike}", ("the run always ended before the moment came",))
    busy = place.busy_stages()
    code = run.wait()
    seconds, problems = orphans(family)
    if code not in CODES[sent][strike.target]:
        problems.append(f"exit code {code}, expected one of {sorted(CODES[sent][strike.target])}: {run.tail()}")
    if "Traceback" in run.text():
        problems.append(f"a traceback in {run.log}")
    if strike.target == FFMPEG:
        # The clip whose ffmpeg was killed may count as failed for a reason that may pass.
        place.pipeline("retry")
    problems += finish(place, reference)
    trial = Trial(
        f"{name} {reference.corpus.name} {strike} (in {' '.join(busy) or 'between stages'})",
        tuple(problems),
        {"target": strike.target, "in": " ".join(busy), "code": code, "seconds": round(time.monotonic() - started, 1),
         "seconds_until_no_process": round(seconds, 2)},
    )  # fmt: skip
    bench.forget(place, passed=trial.passed)
    return trial


def _chain(bench: Bench, count: int) -> Trial:
    """Return one root after ``count`` kills in a row; one that is complete before is compared and begun anew."""
    reference = _reference(bench, 0)
    rng = random.Random(f"{bench.seed} chain")  # noqa: S311 - moments, no secrets
    place = bench.place(reference.corpus, "chain")
    problems: list[str] = []
    kills = roots = 0
    while kills < count:
        seconds = rng.uniform(FIRST_SECONDS, CHAIN_SHARE * reference.seconds)
        if _kill_once(place, Strike(Moment("", seconds), (PARENT, GROUP, TASK)[kills % 3]), problems):
            kills += 1
            continue
        roots += 1
        problems += compare(place, reference)
        if problems:
            break
        place = bench.place(reference.corpus, "chain")
    if not problems:
        problems += finish(place, reference)
    trial = Trial(f"{kills} kills in a row on {roots + 1} roots", tuple(problems), {"kills": kills, "roots": roots + 1})
    bench.forget(place, passed=trial.passed)
    return trial


def _kill_once(place: Place, strike: Strike, problems: list[str]) -> bool:
    """Start a run and kill it; return whether the kill came before its end."""
    family = Family(place)
    run = place.start("RunAll")
    hit = strike.hit(place, run, signal.SIGKILL, family)
    run.wait()
    problems += orphans(family)[1]
    return hit
