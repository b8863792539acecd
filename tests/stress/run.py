"""``python -m tests.stress.run --kills 50``: is anything lost when a run is killed, starved, doubled or damaged?

An undisturbed RunAll on each small corpus is the measure. Every other run is disturbed, then the same command
is given again, and every published file must have the sha256 that it has in the undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from features.base.parallel import num_cpus
from models.rendering.terminal_table import render_table
from tests.features.server import serve
from tests.stress.bench import Bench, undisturbed
from tests.stress.corpora import sample_corpus, served_corpus
from tests.stress.damage import damaged_files
from tests.stress.kills import kill_chain, kill_each, terminate_each
from tests.stress.results import Result, say
from tests.stress.snapshot import published_files
from tests.stress.storage import full_disk, read_only
from tests.stress.together import two_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCENARIOS = ("kill-each", "kill-chain", "stop-each", "full-disk", "read-only", "two-at-once", "damage")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios, print a table, and return 0 when everything that was tried passed, else 1."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="stress-")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    say(f"seed {options.seed}, {options.jobs} at a time, in {folder}")
    results = _all_scenarios(options, folder)
    report = {
        "seed": options.seed,
        "jobs": options.jobs,
        "seconds": round(time.monotonic() - started, 1),
        "scenarios": [result.to_json() for result in results],
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    passed = all(result.passed for result in results)
    if passed and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [[item.scenario, _verdict(item), round(item.seconds), item.skipped or item.claim] for item in results]
    say("\n" + render_table(["scenario", "passed", "seconds", "claim"], rows))
    say("everything passed" if passed else f"something failed: look into {folder}")
    return 0 if passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.stress.run", description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="runs that are killed by SIGKILL")
    parser.add_argument(
        "--mode",
        choices=("each", "chain"),
        help="each: that many runs, each killed, finished and compared; chain: that many kills in a row on one root,"
        " then finished and compared; both if left out",
    )
    parser.add_argument("--stops", type=int, default=6, help="runs that are stopped by SIGTERM")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of runs that are started at once")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=SCENARIOS, help="scenarios to run")
    parser.add_argument("--corpus", choices=("served", "sample", "both"), default="both", help="what the runs work on")
    parser.add_argument(
        "--modalities",
        default="",
        help="what is extracted on each corpus, such as 'frames, audio, cover, text' (twice the time) or 'audio' (half"
        " of it); if left out, audio and text on the served one, frames, audio and cover on the sample",
    )
    parser.add_argument("--jobs", type=int, default=num_cpus(), help="runs at a time; 1 when others use this machine")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of all moments")
    parser.add_argument("--folder", help="where everything is written; a temporary one if left out")
    parser.add_argument("--keep", action="store_true", help="keep the folder although everything passed")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    return parser


def _all_scenarios(options: argparse.Namespace, folder: Path) -> list[Result]:
    with serve() as site:
        corpora = []
        if options.corpus != "sample":
            corpora.append(served_corpus(folder / "corpus", site, options.modalities or "audio, text"))
        if options.corpus != "served":
            corpora.append(sample_corpus(options.modalities or "frames, audio, cover"))
        references = {}
        for corpus in corpora:
            reference = references[corpus.name] = undisturbed(folder, corpus)
            say(
                f"undisturbed run, {corpus.name} corpus: {reference.seconds:.1f} s,"
                f" {published_files(reference.snapshot)} files, {reference.disk_bytes / 2**20:.1f} MiB"
            )
        bench = Bench(folder, references, options.jobs, options.seed, keep=options.keep)
        results = []
        for name, scenario in _scenarios(bench, options).items():
            if name in options.only:
                results.append(scenario())
                say(results[-1].line())
        return results


def _scenarios(bench: Bench, options: argparse.Namespace) -> dict[str, Callable[[], Result]]:
    """Return name -> scenario, in the order in which they run."""
    kills = {
        "each": {"kill-each": lambda: kill_each(bench, options.kills)},
        "chain": {"kill-chain": lambda: kill_chain(bench, options.kills)},
    }
    wanted = kills[options.mode] if options.mode else {**kills["each"], **kills["chain"]}
    return {
        **wanted,
        "stop-each": lambda: terminate_each(bench, options.stops),
        "full-disk": lambda: full_disk(bench),
        "read-only": lambda: read_only(bench),
        "two-at-once": lambda: two_at_once(bench, options.pairs),
        "damage": lambda: damaged_files(bench),
    }


def _verdict(result: Result) -> str:
    return "skipped" if result.skipped else f"{result.num_passed} of {len(result.trials)}"


if __name__ == "__main__":
    sys.exit(main())
