"""The base of all stages: identity, completeness, atomic publishing, reuse, and the record of the run."""

from __future__ import annotations

import os
import resource
import time
from abc import abstractmethod
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import luigi

from features.base.errors import PipelineError, SettingError, SourceError, StageFailedError
from features.base.files import publish_json, remove_leftovers, sha256_of_json
from features.base.outcomes import STATUS_NUMBERS
from features.base.process import die_with_parent
from tasks.config.run import current_run, force_stages, refresh, settings
from tasks.core.console import UNUSABLE_SETTINGS, say
from tasks.core.locking import hold_root
from tasks.core.receipts import SUCCESS_NAME, FileReceipt, Success, read_success, total, write_success

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FINGERPRINT_DIGITS = 12
PARAMS_NAME = "params.json"


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn a ``PipelineError`` into one line and exit code 40, before anything is scheduled."""
    try:
        yield
    except PipelineError as error:
        say(f"error: {error}")
        raise SystemExit(UNUSABLE_SETTINGS) from None


def root_folder() -> Path:
    """Return the absolute root of the run."""
    return Path(settings().paths.root).expanduser().absolute()


class Stage(luigi.Task):
    """One stage of the pipeline.

    A subclass names its settings and inputs, and builds its files. This class alone decides where they are
    published, whether the stage is complete, and which files can be kept.
    """

    force: str = luigi.Parameter(
        default="",
        significant=False,
        positional=False,
        description="Stages to run again with all below them, such as Extract,Train",
    )

    # Raise it when the same settings and inputs give other bytes than before.
    stage_version: ClassVar[int] = 1

    # Ending of the names of its shards; empty where it has none.
    suffix: ClassVar[str] = ""
    # Whether its time is that of training networks, for the summary of a run.
    is_training: ClassVar[bool] = False
    # Values of a parameter that name a part of the stage: Extract-frames is forced by that name too.
    parts: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # Luigi has no types here
        with exit_on_error():
            start_run(self.force)
            self.check_settings()

    def check_settings(self) -> None:
        """Check the parameters and settings of this stage, so that a wrong one is named before anything runs.

        Raises:
            SettingError: A parameter or a setting cannot be used.
        """
        self.identity_settings()

    @property
    def stage_name(self) -> str:
        """Name of the stage's folder."""
        return type(self).__name__.lower()

    @abstractmethod
    def identity_settings(self) -> Mapping[str, object]:
        """Return the settings that change what this stage writes."""

    def inputs(self) -> Mapping[str, Stage]:
        """Return the stages that this one reads, by the name of their folder."""
        return {}

    def requires(self) -> Any:  # noqa: ANN401 - Luigi takes any structure of tasks
        """Return the stages that this one reads."""
        return list(self.inputs().values())

    def deps(self) -> Any:  # noqa: ANN401 - as in Luigi
        """Return the required tasks. Luigi calls this when there is something to run, so the root is locked here."""
        hold_root(root_folder())
        return super().deps()  # type: ignore[no-untyped-call]  # Luigi has no types here

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change when the output would; computed once a run.

        Raises:
            SourceError: The manifest or a model folder is missing.
        """
        memo = current_run().memo
        key = ("fingerprint", self)
        if key not in memo:
            memo[key] = sha256_of_json(self.identity())[:FINGERPRINT_DIGITS]
        found: str = memo[key]
        return found

    def identity(self) -> dict[str, object]:
        """Return everything that the fingerprint is a digest of."""
        return {
            "stage": self.stage_name,
            "version": self.stage_version,
            "settings": dict(self.identity_settings()),
            "inputs": dict(self.upstream_fingerprints()),
        }

    def upstream_fingerprints(self) -> Mapping[str, str]:
        """Return the fingerprints of what decides this stage's inputs."""
        return {name: stage.fingerprint for name, stage in self.inputs().items()}

    @property
    def folder(self) -> Path:
        """Where this stage is published: ``<root>/<stage>/<fingerprint>``."""
        return root_folder() / self.stage_name / self.fingerprint

    def output(self) -> luigi.LocalTarget:
        """Return the file that is published last."""
        return luigi.LocalTarget(str(self.folder / SUCCESS_NAME))

    def success(self) -> Success | None:
        """Return the record of the complete stage, ``None`` where it is not complete."""
        found = read_success(self.folder)
        return found if found is not None and found.fingerprint == self.fingerprint else None

    def published_success(self) -> Success:
        """Return the record of a stage that must be complete.

        Raises:
            SourceError: It is not.
        """
        found = self.success()
        if found is None:
            raise SourceError(f"{self.folder} is not complete: run {type(self).__name__} first")
        return found

    def shard_paths(self) -> tuple[Path, ...]:
        """Return the published shards in order.

        Raises:
            SourceError: The stage is not complete.
        """
        folder = self.folder
        return tuple(folder / shard.name for shard in self.published_success().shards(self.suffix))

    def complete(self) -> bool:
        """Return whether everything is published and made of what its inputs contain now. Changes nothing on disk."""
        start_run(self.force)
        return self.is_complete({})

    def is_complete(self, answers: dict[Stage, bool]) -> bool:
        """Return the same as ``complete``, asking each stage once.

        Args:
            answers: What this question has found so far, by stage; extended in place. Inputs may be rebuilt between
                two questions, so it must not outlive one.
        """
        if self not in answers:
            answers[self] = self._is_complete(answers)
        return answers[self]

    def _is_complete(self, answers: dict[Stage, bool]) -> bool:
        try:
            found = self.success()
            if found is None or (self.is_forced() and published_at(self.folder) < current_run().started_at):
                return False
            for name, stage in self.inputs().items():
                # An input that will be made again may come out different: Luigi has to plan for that.
                if not stage.is_complete(answers) or stage.published_success().digest != found.inputs.get(name):
                    return False
            return found.is_whole(self.folder)
        except SourceError:
            # The manifest is missing: the external task for it reports that.
            return False

    def is_forced(self) -> bool:
        """Return whether ``--force`` names this stage or one above it; computed once a run."""
        run = current_run()
        if not run.force:
            return False
        key = ("is_forced", self)
        if key not in run.memo:
            own = {type(self).__name__.lower(), self.stage_name} & run.force
            run.memo[key] = bool(own) or any(stage.is_forced() for stage in self.inputs().values())
        return bool(run.memo[key])

    def run(self) -> None:
        """Build what is missing and publish it."""
        # The parent may be killed; this process must not outlive it.
        die_with_parent()
        if self.complete():
            # An input was rebuilt with the same content.
            return
        try:
            self._build_and_publish()
        except OSError as error:
            # The error of a full disk does not always name the file.
            place = error.filename or self.folder
            raise SourceError(f"{error.strerror or error} ({place}): mend that, then run the same command") from error

    def _build_and_publish(self) -> None:
        started_at, started = datetime.now(timezone.utc), time.monotonic()
        children = children_cpu_seconds()
        # Before anything changes: a stage that cannot be built must not lose its published files.
        self.check_before_build()
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)
        publish_json(self.folder / PARAMS_NAME, self.identity())
        # Files are replaced from here on; a run that ends in between must not look complete.
        (self.folder / SUCCESS_NAME).unlink(missing_ok=True)
        receipts, built, facts = self.build()
        counts = total(receipts, "counts")
        success = Success(
            stage=self.stage_name,
            fingerprint=self.fingerprint,
            inputs={name: stage.published_success().digest for name, stage in self.inputs().items()},
            files=tuple(replace(receipt, problems=()) for receipt in receipts),
            # In the order ok, partial, failed, whichever file they were read from.
            totals={name: int(counts[name]) for name in STATUS_NUMBERS if name in counts},
            codes={name: int(count) for name, count in total(receipts, "codes").items()},
            started_at=started_at.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - started, 3),
            built=built,
            timings=total(receipts, "timings") or {"child_cpu_seconds": round(children_cpu_seconds() - children, 3)},
            facts=facts,
        )
        failures = Counter(row.code for item in receipts for row in item.problems if row.status == "failed")
        self.check_failures(success, failures)
        write_success(self.folder, success)
        self.on_success()
        point_latest(self)
        say(_closing_line(success))
        if remark := self.remark(success):
            say(f"{success.stage:<15} {remark}")

    def check_before_build(self) -> None:
        """Raise for what is known to fail, before any published file is touched."""

    @abstractmethod
    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Publish what is missing.

        Returns:
            The receipts of all files, how many of them were built now, and facts for a person.
        """

    def on_success(self) -> None:
        """Clean up after the stage is complete; a hook."""

    def remark(self, success: Success) -> str:  # noqa: ARG002 - for those that override it
        """Return one line about a complete stage that a person should know; a hook."""
        return ""

    def max_failed_fraction(self) -> float:
        """Return the fraction of failed clips above which the stage fails."""
        return 1.0

    def check_failures(self, success: Success, failures: Counter[str]) -> None:
        """Raise when too many of the stage's clips failed.

        Args:
            success: The record of the stage.
            failures: Failed clips by code.

        Raises:
            StageFailedError: Naming the share, the limit and the reasons.
        """
        rows = sum(success.totals.values())
        failed = success.totals.get("failed", 0)
        if rows and failed > self.max_failed_fraction() * rows:
            reasons = ", ".join(f"{count} {code}" for code, count in failures.most_common(5))
            raise StageFailedError(
                f"{failed} of {rows} clips failed ({reasons}), more than max_failed_fraction ="
                f" {self.max_failed_fraction():g}; mend the cause or raise the limit, then run the same command:"
                " shards with transient failures are built again"
            )


def point_latest(stage: Stage) -> None:
    """Let ``<root>/<stage>/latest`` lead to this fingerprint."""
    link = stage.folder.parent / "latest"
    if link.is_symlink() and link.readlink() == Path(stage.fingerprint):
        return
    temporary = link.with_name(f".tmp-{os.getpid()}-latest")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(stage.fingerprint)
    temporary.replace(link)


def start_run(force: str) -> None:
    """Read the settings where that is due, and let the run build the stages in ``force`` again.

    Args:
        force: Names separated by commas; empty leaves the run's own.

    Raises:
        SettingError: A setting cannot be used, or a name is that of no stage.
    """
    refresh()
    if force:
        force_stages(forced_names(force))


def forced_names(force: str) -> frozenset[str]:
    """Return the names of stages in a text, in lower case.

    Raises:
        SettingError: A name is that of no stage.
    """
    stages = {stage.__name__: stage for stage in _subclasses(Stage)}  # type: ignore[type-abstract]  # only its tree
    known = {name.lower() for name in stages}
    known |= {f"{name}-{part}".lower() for name, stage in stages.items() for part in stage.parts}
    names = [part.strip() for part in force.split(",") if part.strip()]
    for name in names:
        if name.lower() not in known:
            raise SettingError(f"--force names {name!r}: expected some of {', '.join(sorted(stages))}")
    return frozenset(name.lower() for name in names)


def _subclasses(kind: type[Stage]) -> Iterator[type[Stage]]:
    """Yield the stages below ``kind``, without the base classes that other stages share."""
    for found in kind.__subclasses__():
        below = list(_subclasses(found))
        yield from below or [found]


def published_at(folder: Path) -> float:
    """Return the Unix time at which a complete stage was published."""
    return (folder / SUCCESS_NAME).stat().st_mtime


def _closing_line(success: Success) -> str:
    counts = ", ".join(f"{count:,} {name}" for name, count in success.totals.items()) or _corpus_counts(success.facts)
    rows = sum(success.totals.values())
    kept = len(success.files) - success.built
    # Files that were kept took no time now.
    speed = f"  {rows / success.seconds:,.1f} clips/s" if rows and success.seconds and not kept else ""
    reuse = f"  ({kept} of {len(success.files)} files kept)" if kept and success.built < len(success.files) else ""
    taken = 0 if kept else sum(item.taken_over for item in success.files)
    copied = f"  ({taken:,} clips reused)" if taken else ""
    return f"{success.stage:<15} done in {success.seconds:,.1f} s  {counts}{speed}{reuse}{copied}"


def children_cpu_seconds() -> float:
    """Return the CPU time of the programs that this process has started and seen end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _corpus_counts(facts: Mapping[str, Any]) -> str:
    """Return the counts of a manifest's rows, empty where the facts are of another stage."""
    if "rejected" not in facts:
        return ""
    left_out = sum(facts["rejected"].values())
    return f"{facts['clips']:,} clips of {facts['rows']:,} rows, {facts['merged']:,} merged, {left_out:,} left out"
