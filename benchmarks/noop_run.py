"""What `RunAll` costs when there is nothing to do: against the build before settings were read once, and at scale.

Each build finishes a root of 40 clips once. Then both run the same command on their own root, in turns, each in a fresh
process; what counts is the CPU time of the whole process tree, imports included. The floor is the interpreter that
imports Luigi and ends. The second part is the metadata of 562,342 clips without media: a manifest of that many rows,
and for each stage its receipts and files of a few bytes, published by this build's own functions.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.builds import BASELINE, Finished, baseline_build, this_build, write_config
from benchmarks.floors import BARE_LUIGI
from benchmarks.machine import keep, load_average, machine_facts, median_ratio
from benchmarks.manifest_scale import NUM_ROWS, write_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.builds import Build

FOLDS = ("--ensemble-folds", "5")
CLIPS_PER_SHARD = 1000
# What the figures are to stay below.
AIMS = {"ratio": 0.30, "ratio_with_5_folds": 0.20, "seconds_at_scale": 5.0}


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clips", type=int, default=NUM_ROWS, help="in the metadata at scale")
    parser.add_argument("--baseline", default=BASELINE, help="commit to compare with")
    parser.add_argument("--folder", type=Path, help="where the roots are made and kept; those in it are used again")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = (options.folder or Path(name)).absolute()
        old = baseline_build(Path(name), options.baseline)
        figures: dict[str, object] = {"machine": machine_facts("luigi"), "baseline": options.baseline if old else None}
        figures["single"] = _compare(folder / "single", old, options.rounds)
        figures["5_folds"] = _compare(folder / "folds", old, options.rounds, *FOLDS)
        figures["at_scale"] = _at_scale(folder / "scale", options.clips, options.rounds)
    keep("noop_run", {**figures, "aims": AIMS}, options.output)


def _compare(folder: Path, old: Build | None, rounds: int, *arguments: str) -> dict[str, object]:
    """Return the CPU seconds of a no-op on a finished root of 40 clips, by build, and their ratio."""
    builds = {"new": this_build(), **({"old": old} if old else {})}
    configs = {name: write_config(folder / name) for name in builds}
    for name, build in builds.items():
        build.check(configs[name])
        # A stage whose version was raised has another fingerprint: the root of one build is not complete for the other.
        build.luigi(configs[name], "RunAll", *arguments)
    cpu: dict[str, list[float]] = {name: [] for name in (*builds, "floor")}
    for _ in range(rounds):
        for name, build in builds.items():
            cpu[name].append(_noop(build, configs[name], *arguments).cpu_seconds)
        cpu["floor"].append(this_build().run(BARE_LUIGI, configs["new"]).cpu_seconds)
    return {
        "rounds": rounds,
        "load_average": load_average(),
        "median_cpu_seconds": {name: round(statistics.median(times), 3) for name, times in cpu.items()},
        **({"new_over_old": median_ratio(cpu["new"], cpu["old"])} if old else {}),
        "new_over_floor": median_ratio(cpu["new"], cpu["floor"]),
    }


def _noop(build: Build, config: Path, *arguments: str) -> Finished:
    found = build.luigi(config, "RunAll", *arguments)
    complete = "* 1 complete ones were encountered" in found.output and "Did not run any tasks" in found.output
    assert complete, f"{build.tree} does not find the root complete:\n{found.output}"
    return found


def _at_scale(folder: Path, num_clips: int, rounds: int) -> dict[str, object]:
    """Return the wall and CPU seconds of a no-op on the metadata of ``num_clips`` clips."""
    manifest = folder / "manifest.jsonl"
    config = write_config(folder, {"corpus": {"manifest": str(manifest), "preset": "xinpianchang"}})
    write_manifest(manifest, num_clips / NUM_ROWS)
    shard_sizes = [min(CLIPS_PER_SHARD, num_clips - start) for start in range(0, num_clips, CLIPS_PER_SHARD)]
    script = f"from benchmarks.synthetic_root import publish_root\npublish_root({shard_sizes})"
    this_build().run(["-c", script], config)
    found = [_noop(this_build(), config) for _ in range(rounds)]
    return {
        "num_clips": num_clips,
        "num_shards": len(shard_sizes),
        "load_average": load_average(),
        "wall_seconds": _spread([run.wall_seconds for run in found]),
        "cpu_seconds": _spread([run.cpu_seconds for run in found]),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(seconds), 2),
        "lowest": round(min(seconds), 2),
        "highest": round(max(seconds), 2),
    }


if __name__ == "__main__":
    main()
