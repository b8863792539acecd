"""How many functions and files of the product one clip and one setting pass through, against an earlier build.

A clip: the code that is entered while ``run`` of a stage builds its 40 clips, in a process that has just built the
stages before it. Distinct code objects count: functions, methods, comprehensions, generator expressions, and the
bodies of classes and of modules that this stage is the first to import. A setting: the functions that parse, check,
hold or use it, see ``walk_trace.SettingWalk``. Bodies depend on what was imported before, so they are left out of a
second count. Both builds walk on a copy of one root.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.builds import BASELINE, REPOSITORY, SMALL, Build, baseline_build, this_build, write_config
from benchmarks.machine import keep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What both counts are to stay below, over those of the baseline.
AIM = 0.75


@dataclass(frozen=True)
class Route:
    """One walk: the arguments of ``walk_trace`` after its output, and the settings that differ from ``SMALL``."""

    arguments: tuple[str, ...]
    settings: Mapping[str, Mapping[str, str]]


ROUTES: Mapping[str, Route] = {
    "Extract-frames": Route(("Extract-frames", "--after", "Decode"), {}),
    "Evaluate": Route(("Evaluate", "--after", "Train", "Predict"), {}),
    # The values occur nowhere else.
    "decode.frames_per_second": Route(
        ("Decode", "--setting", "frames_per_second", "1.37", "fps=1.37"), {"decode": {"frames_per_second": "1.37"}}
    ),
    "network.fusion": Route(
        ("Train", "--setting", "fusion", "gate_fusion", "/gate_fusion.py"), {"network": {"fusion": "gate_fusion"}}
    ),
}


def main() -> None:
    """Count, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("routes", nargs="*", default=list(ROUTES), metavar="ROUTE", help=", ".join(ROUTES))
    parser.add_argument("--baseline", default=BASELINE, help="commit to compare with")
    parser.add_argument("--root", type=Path, help="a finished root of the small settings; without it, one is made")
    parser.add_argument("--details", type=Path, help="folder for the functions of each walk")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    for name in options.routes:
        if name not in ROUTES:
            parser.error(f"unknown route {name!r}: expected some of {', '.join(ROUTES)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = baseline_build(folder, options.baseline)
        builds = {"before": old, "after": this_build()}
        root = options.root or _finished_root(folder / "finished")
        figures: dict[str, object] = {"baseline": options.baseline if old else None}
        for route in options.routes:
            walks = {
                age: _walk(build, ROUTES[route], root, folder / f"{age}-{route}")
                for age, build in builds.items()
                if build
            }
            figures[route] = _compare(walks)
            if options.details is not None:
                _write_details(walks, options.details, route)
    keep("walk", {**figures, "aim": AIM}, options.output)


def _finished_root(folder: Path) -> Path:
    this_build().luigi(write_config(folder), "RunAll")
    return folder / "runs"


def _walk(build: Build, route: Route, root: Path, folder: Path) -> list[dict[str, object]]:
    """Return the functions that a build enters on the way, from a process of its own on a copy of the root."""
    sections = {name: {**SMALL.get(name, {}), **route.settings.get(name, {})} for name in {**SMALL, **route.settings}}
    config = write_config(folder, sections)
    shutil.copytree(root, folder / "runs", symlinks=True)
    build.check(config)
    output = folder / "walk.json"
    script = REPOSITORY / "benchmarks" / "walk_trace.py"
    build.run([str(script), str(output), *route.arguments], config)
    found: list[dict[str, object]] = json.loads(output.read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    return found


def _compare(walks: Mapping[str, Sequence[Mapping[str, object]]]) -> dict[str, object]:
    counts = {
        "functions": {age: len(rows) for age, rows in walks.items()},
        "functions_without_bodies": {age: sum(not row["is_body"] for row in rows) for age, rows in walks.items()},
        "files": {age: len({str(row["function"]).partition(":")[0] for row in rows}) for age, rows in walks.items()},
    }
    return {what: {**numbers, **_ratio(numbers)} for what, numbers in counts.items()}


def _ratio(numbers: Mapping[str, int]) -> dict[str, float]:
    return {"ratio": round(numbers["after"] / numbers["before"], 3)} if "before" in numbers else {}


def _write_details(walks: Mapping[str, object], folder: Path, route: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for age, rows in walks.items():
        (folder / f"{route}-{age}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
