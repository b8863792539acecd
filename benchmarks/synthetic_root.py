"""A finished root without media: every stage of the chain with its receipts, over files of a few bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pipeline  # noqa: F401 - sets Luigi's settings
from features.base.files import publish_json, sha256_of_json
from pipeline.workflow import chain
from tasks.core.receipts import FileReceipt, Success, total, write_receipt, write_success
from tasks.core.sharded import ShardedStage
from tasks.core.stage import PARAMS_NAME, point_latest
from tasks.stages.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.stage import Stage


def publish_root(shard_sizes: Sequence[int]) -> None:
    """Publish every stage of the configured run, the sharded ones with shards of so many clips."""
    for stage in chain():
        _publish(stage, shard_sizes)


def _publish(stage: Stage, shard_sizes: Sequence[int]) -> None:
    stage.folder.mkdir(parents=True, exist_ok=True)
    publish_json(stage.folder / PARAMS_NAME, stage.identity())
    receipts = [_receipt(stage, number, rows) for number, rows in enumerate(_rows_of_files(stage, shard_sizes))]
    write_success(
        stage.folder,
        Success(
            stage=stage.stage_name,
            fingerprint=stage.fingerprint,
            inputs={name: given.published_success().digest for name, given in stage.inputs().items()},
            files=tuple(receipts),
            totals={name: int(count) for name, count in total(receipts, "counts").items()},
            codes={},
            started_at="2026-01-01T00:00:00+00:00",
            seconds=1.0,
            built=len(receipts),
            timings=total(receipts, "timings"),
        ),
    )
    point_latest(stage)


def _rows_of_files(stage: Stage, shard_sizes: Sequence[int]) -> Sequence[int]:
    """Return the clips in each file: those of the shards, or one file of all clips."""
    return shard_sizes if isinstance(stage, (ShardedStage, Manifest)) else [sum(shard_sizes)]


def _receipt(stage: Stage, number: int, rows: int) -> FileReceipt:
    """Write one file and return its receipt; the receipt of a shard is published, too."""
    is_shard = isinstance(stage, ShardedStage)
    name = f"shard-{number:05d}{stage.suffix if isinstance(stage, ShardedStage) else '.jsonl'}"
    (stage.folder / name).write_text(f"{stage.stage_name} {name}\n", encoding="utf-8")
    receipt = FileReceipt(
        name,
        (stage.folder / name).stat().st_size,
        sha256_of_json([stage.fingerprint, name]),
        rows,
        key=sha256_of_json([stage.stage_name, name]) if is_shard else "",
        counts={"ok": rows, "partial": 0, "failed": 0} if is_shard else {},
        timings={"wall_seconds": 1.0, "child_cpu_seconds": 1.0} if is_shard else {},
    )
    if is_shard:
        write_receipt(stage.folder, receipt)
    return receipt
