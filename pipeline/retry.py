"""Another attempt at the clips that failed for a reason that may pass; everything else stays as it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import luigi

from models.tables import render_table
from pipeline.workflows import chain
from tasks.ledger import read_receipt
from tasks.locking import hold_root
from tasks.sharded import ShardedStage
from tasks.stage import root_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STAGE_FAILED = 30


@dataclass(frozen=True)
class Retried:
    """One stage that was attempted again.

    Attributes:
        stage: Its name.
        before: Clips with a failure that may pass, by code, before the attempt.
        after: Likewise after it.
        permanent: Clips with a failure that no attempt will mend, by code.
    """

    stage: str
    before: Mapping[str, int]
    after: Mapping[str, int]
    permanent: Mapping[str, int]


def retry() -> tuple[list[Retried], int]:
    """Return what came of another attempt, stage by stage, and the exit code of the run.

    Raises:
        SystemExit: With 10, while a run is at work.
    """
    hold_root(root_folder())
    stages = [stage for stage in chain() if isinstance(stage, ShardedStage) and stage.can_retry]
    before = {stage.stage_name: stage.mark_for_retry() for stage in stages}
    marked = [stage for stage in stages if before[stage.stage_name]]
    finished = not marked or luigi.build(marked, local_scheduler=True, no_lock=True, log_level="INFO")
    rows = [Retried(stage.stage_name, before[stage.stage_name], *_failures(stage)) for stage in stages]
    return rows, 0 if finished else STAGE_FAILED


def _failures(stage: ShardedStage) -> tuple[dict[str, int], dict[str, int]]:
    """Return the failures that may pass and those that will not, by code, as the stage's receipts tell."""
    passing: dict[str, int] = {}
    permanent: dict[str, int] = {}
    for path in sorted(stage.folder.glob("*.receipt.json")):
        receipt = read_receipt(stage.folder, path.name)
        if receipt is None:
            continue
        may_pass = receipt.passing_codes()
        for outcome in receipt.problems:
            counts = passing if outcome.code in may_pass else permanent
            counts[outcome.code] = counts.get(outcome.code, 0) + 1
    return passing, permanent


def render_retry(rows: Sequence[Retried]) -> str:
    """Return what came of it for a person."""
    cells = [[row.stage, _listed(row.before), _listed(row.after), _listed(row.permanent)] for row in rows]
    table = render_table(["stage", "tried again", "failed again", "permanent"], cells)
    if not any(row.before for row in rows):
        return f"{table}\n\nnothing failed for a reason that may pass: nothing was tried again"
    recovered = sum(sum(row.before.values()) - sum(row.after.values()) for row in rows)
    return f"{table}\n\n{recovered} recovered; `luigi --module pipeline RunAll` carries them through the later stages"


def retry_to_json(rows: Sequence[Retried]) -> list[dict[str, Any]]:
    """Return what came of it as plain JSON values."""
    return [asdict(row) for row in rows]


def _listed(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items(), key=lambda item: (-item[1], item[0])))
