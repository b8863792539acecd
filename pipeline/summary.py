"""The tables at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.parallel import num_cpus
from models.metrics import METRICS
from models.rendering.terminal_table import render_table
from tasks.stages.absence import corpus_remarks
from tasks.stages.evaluate import METRICS_NAME, REPORT_NAME, Evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.core.receipts import Success
    from tasks.core.stage import Stage

MAX_REASONS = 3
# Name of the trained network among the scores; the baselines follow it, the weakest last.
MODEL = "model"


def closing_table(stages: Sequence[Stage]) -> str:
    """Return what became of the clips in each stage, the scores, and where they are."""
    rows = [_stage_row(stage.published_success()) for stage in stages]
    parts = [render_table(["stage", "clips", "ok", "partial", "failed", "seconds", "why"], rows)]
    parts += remarks_below(corpus_remarks([stage.published_success() for stage in stages]))
    for stage in stages:
        if isinstance(stage, Evaluate):
            parts += ["", time_shares([(stage.published_success(), stage.is_training) for stage in stages])]
            parts += ["", _scores(stage.published_success().facts), ""]
            parts += [f"metrics  {stage.folder / METRICS_NAME}", f"report   {stage.folder / REPORT_NAME}"]
    return "\n".join(["", *parts])


def remarks_below(remarks: Sequence[str]) -> list[str]:
    """Return the lines below a table: a blank one before remarks, nothing without them."""
    return ["", *remarks] if remarks else []


def _stage_row(success: Success) -> list[object]:
    totals = success.totals
    clips = sum(totals.values()) or success.facts.get("clips")
    counts = [totals.get(name) if totals else None for name in ("ok", "partial", "failed")]
    return [success.stage, clips, *counts, round(success.work_seconds, 1), reasons(success)]


def time_shares(work: Sequence[tuple[Success, bool]]) -> str:
    """Return what the wall time of all stages went into, as one line.

    ffmpeg counts with its CPU time over the CPUs that it had, networks with the time in which they are loaded or run,
    as far as ffmpeg's leaves any. Reading, decoding of pictures, preprocessing and writing are everything else.
    """
    spent = {"ffmpeg": 0.0, "frozen networks": 0.0, "training": 0.0, "everything else": 0.0}
    for success, is_training in work:
        timings, wall = success.timings, success.work_seconds
        if is_training:
            spent["training"] += wall
            continue
        ffmpeg = min(wall, timings.get("child_cpu_seconds", 0.0) / num_cpus())
        network = min(timings.get("network_seconds", 0.0) + timings.get("load_seconds", 0.0), wall - ffmpeg)
        spent["ffmpeg"] += ffmpeg
        spent["frozen networks"] += network
        spent["everything else"] += wall - ffmpeg - network
    total = sum(spent.values())
    shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in spent.items() if total)
    return f"{total:.0f} s of work: {shares}"


def reasons(success: Success) -> str:
    """Return the most frequent codes of a stage with their counts, in one line."""
    return most_frequent({**success.codes, **success.facts.get("rejected", {})})


def most_frequent(codes: Mapping[str, int]) -> str:
    """Return the most frequent codes with their counts, in one line."""
    listed = sorted(codes.items(), key=lambda item: -item[1])
    rest = f" and {len(listed) - MAX_REASONS} more" if len(listed) > MAX_REASONS else ""
    return ", ".join(f"{count} {code}" for code, count in listed[:MAX_REASONS]) + rest


def _scores(facts: Mapping[str, Mapping[str, Mapping[str, float] | None]]) -> str:
    columns = [metric for metric in METRICS if metric.is_in_summary]
    rows = []
    for name in sorted(facts, key=lambda name: (name != MODEL, name == "majority", name)):
        cells = [(facts[name][metric.head] or {}).get(metric.key) for metric in columns]
        rows.append([name.replace("_", " "), *(None if cell is None else f"{cell:.3f}" for cell in cells)])
    return render_table(["", *(metric.title for metric in columns)], rows)
