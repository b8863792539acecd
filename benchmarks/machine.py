"""What the benchmarks share: the machine in words, medians, and the file of figures."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from features.base.machine import tool_versions
from features.base.parallel import num_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RESULTS = Path("benchmarks/results")


def machine_facts(*packages: str) -> dict[str, object]:
    """Return the processor, the CPUs that may be used, and the versions of Python and ``packages``."""
    return {
        "processor": _processor(),
        "num_cpus": num_cpus(),
        "python": sys.version.split()[0],
        "versions": tool_versions(*packages),
    }


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the wall times of each work, one after the other in every round, so that a busy machine slows all."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(seconds(work))
    return found


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float]:
    """Return the median of the ratios within each round, and the lowest and the highest of them."""
    ratios = [above / below for above, below in zip(numerators, denominators, strict=True)]
    return {
        "median": round(statistics.median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
    }


def load_average() -> float:
    """Return how many processes wanted a CPU in the last minute: on a busy machine wall times mean little."""
    return round(os.getloadavg()[0], 1)


def keep(name: str, figures: Mapping[str, object], output: Path | None = None) -> None:
    """Print the figures as a table, and write them as JSON to ``output``, else to the folder of results."""
    _print(figures)
    path = output or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _print(figures: Mapping[str, object], prefix: str = "") -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            _print(value, f"{prefix}{name} / ")
        else:
            print(f"{prefix + name:<60} {value}", flush=True)


def _processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor()
