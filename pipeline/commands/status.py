"""State of a run, read from the published files alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from features.base.errors import SourceError
from models.rendering.terminal_table import render_table
from pipeline.summary import most_frequent, reasons, remarks_below
from pipeline.workflow import stages_in_use
from tasks.core.console import PROGRESS_NAME
from tasks.core.locking import holder_of
from tasks.core.receipts import read_receipt, total
from tasks.core.sharded import ShardedStage
from tasks.core.stage import root_folder
from tasks.stages.absence import corpus_remarks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.stage import Stage


class StageStatus(TypedDict):
    """State of one stage; ``clips`` and below are of the last completed run of this fingerprint."""

    stage: str
    fingerprint: str | None
    state: str
    clips: int | None
    ok: int | None
    partial: int | None
    failed: int | None
    seconds: float | None
    why: str
    folder: str


class Status(TypedDict):
    """State of a root: the process that has locked it, every stage of the configured run, what the corpus lacks."""

    root: str
    running_process: int | None
    stages: list[StageStatus]
    remarks: list[str]


def read_status() -> Status:
    """Return the state of all that the configuration describes. Takes no lock and writes nothing."""
    holder = holder_of(root_folder())
    rows = {stage: _stage_status(stage, running=holder is not None) for stage in stages_in_use()}
    found = [stage.success() if row["fingerprint"] else None for stage, row in rows.items()]
    return Status(
        root=str(root_folder()),
        running_process=holder,
        stages=list(rows.values()),
        remarks=corpus_remarks([success for success in found if success is not None]),
    )


def _stage_status(stage: Stage, *, running: bool) -> StageStatus:
    row = StageStatus(
        stage=stage.stage_name,
        fingerprint=None,
        state="waits for the manifest",
        clips=None,
        ok=None,
        partial=None,
        failed=None,
        seconds=None,
        why="",
        folder="",
    )
    try:
        row["fingerprint"] = stage.fingerprint
    except SourceError as error:
        row["why"] = str(error)
        return row
    row["folder"] = str(stage.folder)
    found = stage.success()
    if found is not None:
        totals = found.totals
        row["clips"] = sum(totals.values()) or found.facts.get("clips")
        row["ok"], row["partial"], row["failed"] = (totals.get(name) for name in ("ok", "partial", "failed"))
        row["seconds"] = found.work_seconds
        row["why"] = reasons(found)
    elif isinstance(stage, ShardedStage):
        _count_receipts(stage, row)
    row["state"] = (
        "complete" if stage.complete() else _unfinished(stage, complete_once=found is not None, running=running)
    )
    return row


def _count_receipts(stage: ShardedStage, row: StageStatus) -> None:
    """Fill in the counts of an incomplete stage from the receipts of its shards."""
    found = [read_receipt(stage.folder, path.name) for path in sorted(stage.folder.glob("*.receipt.json"))]
    receipts = [receipt for receipt in found if receipt is not None]
    if receipts:
        counts = {name: int(count) for name, count in total(receipts, "counts").items()}
        row["clips"] = sum(counts.values())
        row["ok"], row["partial"], row["failed"] = (counts.get(name) for name in ("ok", "partial", "failed"))
        row["why"] = most_frequent({name: int(count) for name, count in total(receipts, "codes").items()})


def _unfinished(stage: Stage, *, complete_once: bool, running: bool) -> str:
    if complete_once:
        return "out of date"
    progress = _progress(stage)
    if not progress:
        return "missing"
    verb = "at" if running else "stopped at"
    return f"{verb} {progress['done']} of {progress['total']}"


def _progress(stage: Stage) -> Mapping[str, int]:
    try:
        found: Mapping[str, int] = json.loads((stage.folder / PROGRESS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def render_status(status: Status) -> str:
    """Return the state as a table for a person."""
    names = ("stage", "state", "clips", "ok", "partial", "failed", "seconds", "fingerprint", "why")
    rows = [[row.get(name) for name in names] for row in status["stages"]]
    holder = status["running_process"]
    running = f"process {holder} is at work" if holder is not None else "no run is at work"
    lines = [render_table(names, rows), *remarks_below(status["remarks"])]
    return "\n".join([f"root {status['root']}: {running}", "", *lines])
