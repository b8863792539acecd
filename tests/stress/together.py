"""Two runs that are started at once on one root."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from tests.stress.bench import compare
from tests.stress.results import Result, Trial

if TYPE_CHECKING:
    from tests.stress.bench import Bench

ALREADY_RUNNING = 10
# The second one starts between at once and this much later.
MAX_DELAY_SECONDS = 2.0


def two_at_once(bench: Bench, count: int) -> Result:
    """Return the result of ``count`` pairs of runs."""
    claim = "pairs: one ended with 10 and named the other's process, the other finished with identical bytes"
    return bench.try_all("two at once", claim, lambda number: _pair(bench, number), range(count))


def _pair(bench: Bench, number: int) -> Trial:
    reference = next(iter(bench.references.values()))
    place = bench.place(reference.corpus, f"pair-{number:02d}")
    rng = random.Random(f"{bench.seed} pair {number}")  # noqa: S311 - moments, no secrets
    delay = 0.0 if number == 0 else rng.uniform(0, MAX_DELAY_SECONDS)
    first = place.start("RunAll")
    time.sleep(delay)
    second = place.start("RunAll")
    ended = {run.process.pid: (run.wait(), run.text()) for run in (first, second)}
    problems = []
    codes = [code for code, _ in ended.values()]
    if sorted(codes) != [0, ALREADY_RUNNING]:
        problems.append(f"exit codes {codes}, expected one 0 and one {ALREADY_RUNNING}: {second.tail()}")
    else:
        winner = next(pid for pid, (code, _) in ended.items() if code == 0)
        refusal = next(text for code, text in ended.values() if code == ALREADY_RUNNING)
        if f"in use by process {winner}" not in refusal:
            problems.append(f"the refusal does not name process {winner}: {refusal.strip()[-200:]}")
    problems += [f"a traceback in process {pid}" for pid, (_, text) in ended.items() if "Traceback" in text]
    problems += compare(place, reference)
    trial = Trial(f"the second one {delay:.2f} s later", tuple(problems), {"codes": codes})
    bench.forget(place, passed=trial.passed)
    return trial
