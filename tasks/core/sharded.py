"""Stages that build their shard i from shard i of their inputs, each shard independently."""

from __future__ import annotations

import functools
import os
import threading
import time
from abc import abstractmethod
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from features.base.errors import StageFailedError
from features.base.files import published, sha256_of, sha256_of_json
from features.base.modalities import MODALITIES
from features.base.parallel import STOPPING
from tasks.core.console import Progress
from tasks.core.receipts import (
    SUCCESS_NAME,
    FileReceipt,
    read_receipt,
    receipt_path,
    shards_by_key,
    total,
    write_receipt,
)
from tasks.core.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from features.base.outcomes import Tally
    from tasks.core.receipts import Success

    # Writes the shard of a job to a path; returns the tally of its outcomes and its timings in seconds.
    ShardBuilder = Callable[["ShardJob", Path], tuple[Tally, dict[str, float]]]


Result = TypeVar("Result")


@dataclass(frozen=True)
class ShardJob:
    """One shard to build.

    Attributes:
        number: Position of the shard in the corpus.
        name: File name of the result.
        key: Digest of the settings above it and of its own inputs: equal keys give equal bytes.
        rows: Clips in it.
        inputs: Files that it is made of, by stage.
        digests: The sha256 that each of those files had when it was published.
        previous: An earlier, intact version of this shard in the same folder, made with the same settings of
            other inputs or at another time; rows of unchanged clips may be reused from it.
    """

    number: int
    name: str
    key: str
    rows: int
    inputs: dict[str, Path]
    digests: dict[str, str]
    previous: Path | None = None


class Stopwatch:
    """Wall time split over shards that are built side by side; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = time.monotonic()

    def split(self) -> float:
        """Return the seconds since the last split, so that those of all shards add up to the whole."""
        with self._lock:
            now = time.monotonic()
            seconds, self._last = now - self._last, now
            return seconds


def run_local(
    build: Callable[[ShardJob], Result], jobs: Iterable[ShardJob], at_a_time: int = 1
) -> Iterator[tuple[ShardJob, Result]]:
    """Yield each job with what ``build`` returned, as they get done.

    With ``at_a_time`` above 1 that many shards are built in threads of this process. They share the workers
    that process the clips, so that the last slow clips of one shard do not delay the next one. After an exception
    no further shard is started, and ``STOPPING`` stops those in progress.
    """
    if at_a_time == 1:
        # Not in a thread: libraries of frozen networks keep state by thread.
        for job in jobs:
            yield job, build(job)
        return
    running: dict[Future[Result], ShardJob] = {}
    with ThreadPoolExecutor(at_a_time) as threads:
        try:
            for job in jobs:
                running[threads.submit(build, job)] = job
                if len(running) == at_a_time:
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        except BaseException:
            STOPPING.set()
            raise


def _finished(running: dict[Future[Result], ShardJob]) -> Iterator[tuple[ShardJob, Result]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


# Key among the timings that a builder returns: clips whose rows were reused from an older shard.
TAKEN_OVER = "clips_taken_over"
# Key among the facts of a stage: the modalities that none of its clips has.
ABSENT = "absent"


class ShardedStage(Stage):
    """A stage that builds its shard i from shard i of its inputs."""

    shards_at_a_time: ClassVar[int] = 1

    @property
    def can_retry(self) -> bool:
        """Whether clips fail here for reasons that another attempt may not meet (see features.base.outcomes)."""
        return False

    @property
    def inputs_changed(self) -> bool:
        """Whether files that the stage reads, and that no stage has made, have changed since it was published."""
        return False

    def shard_inputs(self) -> Mapping[str, Stage]:
        """Return the stages whose shard i goes into shard i of this one, by the name under which a job has it."""
        return self.inputs()

    @abstractmethod
    def shard_builder(self, progress: Progress) -> AbstractContextManager[ShardBuilder]:
        """Open what all shards share (connections, threads, a network) and yield the function that writes one shard.

        With ``shards_at_a_time`` above 1 it is called from several threads.
        """

    def key_settings(self) -> Mapping[str, object]:
        """Return what a shard's key contains beside its inputs; the inputs' own settings are in their bytes."""
        return self.identity_settings()

    def jobs(self) -> list[ShardJob]:
        """Return every shard of the stage."""
        shards, folders = {}, {}
        for name, stage in self.shard_inputs().items():
            shards[name] = stage.published_success().shards(stage.suffix)
            folders[name] = stage.folder
        base = {
            "stage": self.stage_name,
            "version": self.stage_version,
            "settings": dict(self.key_settings()),
        }
        result = []
        for number, group in enumerate(zip(*shards.values(), strict=True)):
            inputs, digests = {}, {}
            for name, receipt in zip(shards, group, strict=True):
                inputs[name] = folders[name] / receipt.name
                digests[name] = receipt.sha256
            own_name = f"{group[0].name.partition('.')[0]}{self.suffix}"
            key = sha256_of_json({**base, "inputs": digests})
            result.append(ShardJob(number, own_name, key, group[0].rows, inputs, digests))
        return result

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Build the shards that are neither here nor, under the same key, in another fingerprint's folder."""
        jobs = self.jobs()
        receipts = {} if self.is_forced() else self._kept(jobs)
        pending = [job for job in jobs if job.name not in receipts]
        stopwatch = Stopwatch()
        with Progress(self.stage_name, sum(job.rows for job in pending), self.folder) as progress:
            for receipt in receipts.values():
                self.shard_done(receipt)
            if pending:
                with self.shard_builder(progress) as builder:
                    build = functools.partial(self._publish, builder=builder, stopwatch=stopwatch)
                    for job, receipt in run_local(build, pending, self.shards_at_a_time):
                        receipts[job.name] = receipt
                        self.shard_done(receipt)
        ordered = [receipts[job.name] for job in jobs]
        absent = absent_modalities(ordered, self.modalities())
        return ordered, len(pending), {ABSENT: absent} if absent else {}

    def modalities(self) -> tuple[str, ...]:
        """Return the modalities of which the codes of this stage's outcomes tell that a clip lacks them."""
        return ()

    def shard_done(self, receipt: FileReceipt) -> None:
        """Handle one shard that was published or reused; a hook, called once for each."""

    def _kept(self, jobs: Sequence[ShardJob]) -> dict[str, FileReceipt]:
        kept: dict[str, FileReceipt] = {}
        missing = []
        for job in jobs:
            receipt = read_receipt(self.folder, job.name)
            if receipt is not None and receipt.key == job.key and not receipt.retry and receipt.matches(self.folder):
                kept[job.name] = receipt
            elif receipt is None or not receipt.retry:
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

    def _publish(self, job: ShardJob, *, builder: ShardBuilder, stopwatch: Stopwatch) -> FileReceipt:
        job = replace(job, previous=self._previous(job))
        with published(self.folder / job.name) as temporary:
            tally, timings = builder(job, temporary)
            if tally.rows != job.rows:
                raise StageFailedError(f"{job.name} has {tally.rows} rows for {job.rows} clips: please report this")
            receipt = FileReceipt.of_shard(temporary, job.name, job.key, tally)
            receipt = replace(receipt, taken_over=int(timings.pop(TAKEN_OVER, 0)))
            # The old receipt is removed before the new content is published: it never describes other bytes.
            receipt_path(self.folder, job.name).unlink(missing_ok=True)
        timings = {**timings, "wall_seconds": stopwatch.split()}
        receipt = replace(receipt, timings={name: round(value, 3) for name, value in timings.items()})
        write_receipt(self.folder, receipt)
        return receipt

    def _previous(self, job: ShardJob) -> Path | None:
        """Return the shard's older version in this folder if its content matches its receipt."""
        receipt = None if self.is_forced() else read_receipt(self.folder, job.name)
        path = self.folder / job.name
        if receipt is None or not receipt.matches(self.folder) or sha256_of(path) != receipt.sha256:
            return None
        return path

    def elsewhere(self, job: ShardJob) -> Iterator[Path]:
        """Yield the intact shards of a job's name under other settings or inputs, the newest first."""
        found = []
        for folder in () if self.is_forced() else self.folder.parent.iterdir():
            if folder.is_symlink() or folder == self.folder:
                continue
            receipt = read_receipt(folder, job.name)
            if receipt is not None and receipt.matches(folder):
                found.append((-receipt_path(folder, job.name).stat().st_mtime_ns, folder / job.name, receipt.sha256))
        for _, path, digest in sorted(found):
            if sha256_of(path) == digest:
                yield path

    def mark_for_retry(self) -> dict[str, int]:
        """Mark the shards with transient failures, so that the next run builds them again; the rest is kept.

        Returns:
            The clips with transient failures, by code.
        """
        codes: dict[str, int] = {}
        for path in sorted(self.folder.glob("*.receipt.json")) if self.can_retry else ():
            receipt = read_receipt(self.folder, path.name)
            transient = receipt.transient_codes() if receipt is not None else {}
            if receipt is not None and transient:
                write_receipt(self.folder, replace(receipt, retry=True))
                codes = {code: codes.get(code, 0) + transient.get(code, 0) for code in {*codes, *transient}}
        if codes:
            (self.folder / SUCCESS_NAME).unlink(missing_ok=True)
        return codes

    def check_failures(self, success: Success, failures: Counter[str]) -> None:
        """Raise when too many clips failed; the next run attempts those with transient failures again."""
        try:
            super().check_failures(success, failures)
        except StageFailedError:
            self.mark_for_retry()
            raise


def absent_modalities(receipts: Sequence[FileReceipt], names: Iterable[str]) -> list[str]:
    """Return those of some modalities that no clip has; clips that failed count with neither.

    Args:
        receipts: Of all shards of a stage, with the outcomes that are not ``ok``.
        names: The modalities.
    """
    failed = Counter(row.code for receipt in receipts for row in receipt.problems if row.status == "failed")
    codes = Counter(total(receipts, "codes"))
    num_usable = sum(receipt.rows for receipt in receipts) - failed.total()
    lacking = {
        name: sum(codes[code] - failed[code] for code in MODALITIES[name].absent_codes) for name in names
    }  # fmt: skip
    return [name for name, count in lacking.items() if 0 < count == num_usable]
