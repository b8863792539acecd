"""Retries the clips with transient failures; everything else is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import luigi

from features.base.outcomes import is_transient
from models.rendering.terminal_table import render_table
from pipeline.workflow import chain
from tasks.core.locking import hold_root
from tasks.core.receipts import read_receipt
from tasks.core.sharded import ShardedStage
from tasks.core.stage import root_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tasks.core.receipts import FileReceipt

STAGE_FAILED = 30


@dataclass(frozen=True)
class Retried:
    """One stage that was attempted again.

    Attributes:
        stage: Its name.
        before: Clips with a transient failure, by code, before the attempt; in Download also those whose failed local
            files have changed.
        after: Likewise after it.
        permanent: Clips with a permanent failure, by code.
    """

    stage: str
    before: Mapping[str, int]
    after: Mapping[str, int]
    permanent: Mapping[str, int]


@dataclass(frozen=True)
class Retry:
    """The outcome of a retry.

    Attributes:
        stages: One entry a stage.
        recovered: Clips that had a transient failure and have none in any stage now, or whose changed local files
            left them without any failure.
        is_changed: Whether local files had changed.
    """

    stages: tuple[Retried, ...]
    recovered: int
    is_changed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def retry() -> tuple[Retry, int]:
    """Retry, and return the outcome and the exit code of the run.

    Raises:
        SystemExit: With 10, while a run is at work.
    """
    hold_root(root_folder())
    stages = [stage for stage in chain() if isinstance(stage, ShardedStage) and stage.can_retry]
    # Looked at before a mark makes the stage incomplete.
    is_changed = any(stage.inputs_changed for stage in stages)
    transient, any_failure = _failing(stages, is_transient), _failing(stages, bool)
    before = {stage.stage_name: stage.mark_for_retry() for stage in stages}
    # A changed file may have failed in any stage that has run.
    marked = [
        stage for stage in stages if before[stage.stage_name] or (is_changed and any(True for _ in _receipts(stage)))
    ]
    finished = not marked or luigi.build(marked, local_scheduler=True, no_lock=True, log_level="INFO")
    recovered = transient - _failing(stages, is_transient)
    if is_changed:
        recovered |= any_failure - _failing(stages, bool)
    rows = tuple(Retried(stage.stage_name, before[stage.stage_name], *_failures(stage)) for stage in stages)
    return Retry(rows, len(recovered), is_changed), 0 if finished else STAGE_FAILED


def _failing(stages: Sequence[ShardedStage], counts: Callable[[str], bool]) -> set[str]:
    """Return the clips with a failure, in any stage, whose code counts."""
    problems = (problem for stage in stages for receipt in _receipts(stage) for problem in receipt.problems)
    return {problem.clip_id for problem in problems if counts(problem.code)}


def _failures(stage: ShardedStage) -> tuple[dict[str, int], dict[str, int]]:
    """Return the transient and the permanent failures in the stage's receipts, by code."""
    transient: Counter[str] = Counter()
    permanent: Counter[str] = Counter()
    for receipt in _receipts(stage):
        for outcome in receipt.problems:
            (transient if is_transient(outcome.code) else permanent)[outcome.code] += 1
    return dict(transient), dict(permanent)


def _receipts(stage: ShardedStage) -> Iterator[FileReceipt]:
    for path in sorted(stage.folder.glob("*.receipt.json")):
        receipt = read_receipt(stage.folder, path.name)
        if receipt is not None:
            yield receipt


def render_retry(found: Retry) -> str:
    """Return what came of it for a person."""
    cells = [[row.stage, _listed(row.before), _listed(row.after), _listed(row.permanent)] for row in found.stages]
    table = render_table(["stage", "tried again", "failed again", "permanent"], cells)
    if not found.is_changed and not any(row.before for row in found.stages):
        return f"{table}\n\nno transient failures: nothing was tried again"
    carry = "; `luigi --module pipeline RunAll` carries them through the later stages" if found.recovered else ""
    return f"{table}\n\n{found.recovered} recovered{carry}"


def _listed(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items(), key=lambda item: (-item[1], item[0])))
