"""Stages that turn shard i of their inputs into their own shard i, each shard for itself."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from features.files import published, sha256_of_json
from tasks.engine import ShardJob, run_local
from tasks.ledger import FileReceipt, read_receipt, receipt_path, shards_by_key, write_receipt
from tasks.progress import Progress
from tasks.stage import Stage, StageFailedError, children_cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from features.outcomes import Tally
    from tasks.ledger import Success


class ShardedStage(Stage):
    """A stage that turns shard i of its inputs into its own shard i."""

    suffix: ClassVar[str] = ""

    @abstractmethod
    def shard_inputs(self) -> Mapping[str, tuple[Stage, str]]:
        """Return the sharded inputs: name -> the stage and the suffix of its shards."""

    @abstractmethod
    def build_shard(self, job: ShardJob, path: Path, on_clip: Callable[[], None]) -> tuple[Tally, dict[str, float]]:
        """Write one shard to ``path``; return its account and its timings."""

    def key_settings(self) -> Mapping[str, object]:
        """Return what a shard's key holds beside its inputs; the inputs' own settings are in their bytes."""
        return self.settings()

    def jobs(self) -> list[ShardJob]:
        """Return every shard of the stage."""
        sources = {
            name: (stage, stage.published_success(), suffix) for name, (stage, suffix) in self.shard_inputs().items()
        }
        names = {name: success.file_names(suffix) for name, (_, success, suffix) in sources.items()}
        receipts = {name: success.by_name() for name, (_, success, _) in sources.items()}
        base = {
            "stage": self.stage_name,
            "version": self.stage_version,
            "settings": dict(self.key_settings()),
        }
        result = []
        for number, group in enumerate(zip(*names.values(), strict=True)):
            files = dict(zip(names, group, strict=True))
            digests = {name: receipts[name][file].sha256 for name, file in files.items()}
            first = next(iter(files))
            rows = receipts[first][files[first]].rows
            result.append(
                ShardJob(
                    number,
                    f"{group[0].partition('.')[0]}{self.suffix}",
                    sha256_of_json({**base, "inputs": digests}),
                    rows,
                    {name: sources[name][0].folder / file for name, file in files.items()},
                )
            )
        return result

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Build the shards that are neither here nor, under the same key, in another fingerprint's folder."""
        jobs = self.jobs()
        receipts = {} if self.is_forced() else self._kept(jobs)
        pending = [job for job in jobs if job.name not in receipts]
        with Progress(self.stage_name, sum(job.rows for job in pending), self.folder) as progress:
            for job, receipt in run_local(lambda job: self._publish(job, progress.advance), pending):
                receipts[job.name] = receipt
        return [receipts[job.name] for job in jobs], len(pending), {}

    def _kept(self, jobs: Sequence[ShardJob]) -> dict[str, FileReceipt]:
        kept: dict[str, FileReceipt] = {}
        missing = []
        for job in jobs:
            receipt = read_receipt(self.folder, job.name)
            if receipt is not None and receipt.key == job.key and receipt.matches(self.folder):
                kept[job.name] = receipt
            else:
                missing.append(job)
        elsewhere = shards_by_key(self.folder.parent) if missing else {}
        for job in missing:
            if job.key in elsewhere:
                folder, receipt = elsewhere[job.key]
                kept[job.name] = self._link(folder / receipt.name, replace(receipt, name=job.name))
        return kept

    def _link(self, source: Path, receipt: FileReceipt) -> FileReceipt:
        target = self.folder / receipt.name
        receipt_path(self.folder, receipt.name).unlink(missing_ok=True)
        if not (target.exists() and target.samefile(source)):
            with published(target) as temporary:
                os.link(source, temporary)
        write_receipt(self.folder, receipt)
        return receipt

    def _publish(self, job: ShardJob, on_clip: Callable[[], None]) -> FileReceipt:
        started = time.monotonic()
        children = children_cpu_seconds()
        with published(self.folder / job.name) as temporary:
            tally, timings = self.build_shard(job, temporary, on_clip)
            if tally.rows != job.rows:
                raise StageFailedError(f"{job.name} has {tally.rows} rows for {job.rows} clips: please report this")
            receipt = FileReceipt.of_shard(temporary, job.name, job.key, tally)
            # The old receipt goes before the new content comes: no moment at which it speaks for other bytes.
            receipt_path(self.folder, job.name).unlink(missing_ok=True)
        timings = {
            **timings,
            "wall_seconds": time.monotonic() - started,
            "child_cpu_seconds": children_cpu_seconds() - children,
        }
        receipt = replace(receipt, timings={name: round(value, 3) for name, value in timings.items()})
        write_receipt(self.folder, receipt)
        return receipt

    def check_failures(self, success: Success) -> None:
        """Refuse to call a stage done when too many clips failed; shards that may do better are built again then."""
        try:
            super().check_failures(success)
        except StageFailedError:
            for item in success.files:
                if item.may_pass():
                    receipt_path(self.folder, item.name).unlink(missing_ok=True)
            raise
