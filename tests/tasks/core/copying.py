"""Two stages that copy text, for tests of what every stage shares."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from features.base.outcomes import Outcome, Tally
from tasks.config.run import forget_run
from tasks.core.receipts import FileReceipt
from tasks.core.sharded import ShardedStage
from tasks.core.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tasks.core.console import Progress
    from tasks.core.sharded import ShardBuilder, ShardJob

CORPUS: dict[str, list[str]] = {}
SETTINGS: dict[str, object] = {}
BUILT: list[str] = []


class CopySource(Stage):
    """Writes the shards that CORPUS names."""

    suffix: ClassVar[str] = ".txt"

    def identity_settings(self) -> Mapping[str, object]:
        return {"corpus": dict(CORPUS)}

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        for name, rows in CORPUS.items():
            (self.folder / name).write_text("\n".join(rows), encoding="utf-8")
        return [FileReceipt.of(self.folder, name, len(rows)) for name, rows in CORPUS.items()], len(CORPUS), {}


class CopyStage(ShardedStage):
    """Copies each shard; a row ``bad`` fails."""

    suffix: ClassVar[str] = ".upper"

    @property
    def can_retry(self) -> bool:
        return True

    def identity_settings(self) -> Mapping[str, object]:
        return dict(SETTINGS)

    def inputs(self) -> Mapping[str, Stage]:
        return {"copysource": CopySource()}

    def max_failed_fraction(self) -> float:
        return 0.5

    @contextmanager
    def shard_builder(self, progress: Progress) -> Iterator[ShardBuilder]:
        yield functools.partial(self.build_shard, on_clip=progress.advance)

    def build_shard(self, job: ShardJob, path: Path, on_clip: Callable[[], None]) -> tuple[Tally, dict[str, float]]:
        BUILT.append(job.name)
        on_clip()
        rows = job.inputs["copysource"].read_text(encoding="utf-8").split("\n")
        path.write_text("\n".join(row.upper() for row in rows), encoding="utf-8")
        return Tally.of(Outcome(row, "failed" if row == "bad" else "ok", "bad" * (row == "bad")) for row in rows), {}


def run(force: str = "") -> CopyStage:
    """Run what is not complete, as Luigi would, and return the second stage."""
    forget_run()
    source, copy = CopySource(force=force), CopyStage(force=force)
    for stage in (source, copy):
        if not stage.complete():
            stage.run()
    return copy
