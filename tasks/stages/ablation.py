"""Which settings help: variants x seeds, each trained on the cached embeddings, in one table."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from features.base.errors import StageFailedError
from features.base.files import published, sha256_of_json
from features.base.settings import identity_values
from models.ablation.runs import FailedRun, metric_label
from models.rendering.terminal_table import render_table
from tasks.config.run import settings
from tasks.core.console import Progress, say
from tasks.core.receipts import FileReceipt
from tasks.core.stage import Stage
from tasks.stages.dataset import extract_stages, read_labelled_corpus, shard_paths
from tasks.stages.manifest import Manifest
from tasks.training.ablation_runs import BaselineRun, PlannedRun, forget, jobs_of, plan_runs
from tasks.training.training_job import TrainingData
from tasks.training.variants import BASELINES, read_variants
from tasks.training.worker_pool import run_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from models.ablation.table import AblationTable

DOCUMENT_NAME = "ablation.json"
MARKDOWN_NAME = "ablation.md"
PAGE_NAME = "report.html"
DATA_NAME = "data.json"
# Beside the fingerprints: all ablations of this root share the runs.
RUNS_FOLDER = "runs"


@dataclass(frozen=True)
class _Failures:
    """What did not come to its end.

    Attributes:
        errors: What is wrong with a training, by its folder: the same every time.
        deaths: How the process of a training ended, by its folder: another attempt may do better.
    """

    errors: dict[Path, str]
    deaths: dict[Path, str]


class Ablation(Stage):
    """``ablation.md``, ``ablation.json`` and ``report.html``; the runs behind them are kept beside the fingerprints.

    Validation clips are scored without calibration, which would be fitted to them; test clips with it.
    """

    stage_version: ClassVar[int] = 2
    is_training: ClassVar[bool] = True

    def check_settings(self) -> None:
        """Read the variants, too: a wrong one is named before anything runs."""
        super().check_settings()
        read_variants()

    def identity_settings(self) -> Mapping[str, object]:
        """Return the variants with all their values, and how they are compared."""
        rows = [
            {
                "name": variant.name,
                "network": identity_values(variant.network),
                "train": identity_values(variant.train),
                "hidden": variant.hidden,
            }
            for variant in read_variants()
        ]
        return {**identity_values(settings().ablation), "variants": rows, "calibrate": settings().train.calibrate}

    def inputs(self) -> Mapping[str, Stage]:
        """Return the corpus and the embeddings of every modality that is used."""
        return {"manifest": Manifest(), **extract_stages()}

    def runs_folder(self) -> Path:
        """Return where the runs are kept."""
        return self.folder.parent / RUNS_FOLDER

    def runs(self) -> list[PlannedRun]:
        """Return every run of a variant, once the inputs are complete."""
        config = settings().ablation
        return plan_runs(read_variants(), config.split, config.seeds, self.runs_folder(), self._data_digest())

    def baselines(self) -> BaselineRun:
        """Return the run of the baselines, once the inputs are complete."""
        split, calibrate = settings().ablation.split, settings().train.calibrate
        return BaselineRun.below(self.runs_folder(), split, self._data_digest(), calibrated=calibrate)

    def _data_digest(self) -> str:
        return sha256_of_json({name: stage.published_success().digest for name, stage in self.inputs().items()})

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Execute the missing runs and publish the table of all runs."""
        from models.ablation.text import findings  # noqa: PLC0415 - loads numpy

        runs, baselines = self.runs(), self.baselines()
        if self.is_forced():
            forget({run.plan.folder for run in runs} | {baselines.folder})
        failures = self._run_missing(runs, baselines)
        failed = _failed_runs(failures, runs, baselines)
        _report(failed)
        table = self._table(runs, baselines, failed)
        self._publish(table)
        say("\n".join(["", terminal_table(table), "", *findings(table), "", f"report   {self.folder / PAGE_NAME}"]))
        if failures.deaths:
            raise StageFailedError(
                f"{len(failures.deaths)} run(s) ended with their process"
                f" ({', '.join(sorted(set(failures.deaths.values())))}) and are missing in"
                f" {self.folder / MARKDOWN_NAME}: the same command attempts them again"
            )
        receipts = [FileReceipt.of(self.folder, name, 1) for name in (DOCUMENT_NAME, MARKDOWN_NAME, PAGE_NAME)]
        return receipts, len(receipts), {"runs": len(runs), "failed": [_named(run) for run in failed]}

    def _run_missing(self, runs: Sequence[PlannedRun], baselines: BaselineRun) -> _Failures:
        """Execute the missing runs; return the failures by folder."""
        jobs: dict[Path, Any] = {} if baselines.file.exists() else {baselines.folder: baselines.job()}
        jobs |= jobs_of([run for run in runs if not run.is_done()], settings().predict.device)
        failures = _Failures({}, {})
        manifest = Manifest()
        data = TrainingData(shard_paths(), manifest.shard_paths(), tuple(read_labelled_corpus(manifest).splits))
        data.write(self.folder / DATA_NAME)
        command = [sys.executable, "-m", "tasks.training.ablation_worker", str(self.folder / DATA_NAME)]
        results = run_jobs(command, list(jobs.values()), settings().ablation.workers)
        folders = list(jobs)
        with Progress(self.stage_name, len(jobs), self.folder, unit="run") as progress, closing(results):
            for result in results:
                if result.death:
                    failures.deaths[folders[result.number]] = result.death
                elif result.value["error"]:
                    failures.errors[folders[result.number]] = result.value["error"]
                progress.advance()
        return failures

    def _table(self, runs: Sequence[PlannedRun], baselines: BaselineRun, failed: Sequence[FailedRun]) -> AblationTable:
        from models.ablation.table import summarise  # noqa: PLC0415 - loads numpy

        results = [run.result() for run in runs if run.is_done()]
        if baselines.file.exists():
            results += baselines.results(dict.fromkeys(run.seed for run in runs))
        config = settings().ablation
        return summarise(results, config.reference, split=config.split, failures=failed)

    def _publish(self, table: AblationTable) -> None:
        from models.ablation.documents import table_to_json, table_to_markdown  # noqa: PLC0415 - loads numpy
        from models.report.page import write_ablation_page  # noqa: PLC0415 - loads numpy

        for name, text in ((DOCUMENT_NAME, table_to_json(table)), (MARKDOWN_NAME, table_to_markdown(table))):
            with published(self.folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        write_ablation_page(table, self.folder / PAGE_NAME)


def read_ablation(folder: Path) -> AblationTable:
    """Return the table of a published ablation."""
    from models.ablation.documents import table_from_json  # noqa: PLC0415 - loads numpy

    return table_from_json((folder / DOCUMENT_NAME).read_text(encoding="utf-8"))


def terminal_table(table: AblationTable) -> str:
    """Return the headline scores of every variant for a terminal."""
    from models.ablation.text import scored_text, seeds_text  # noqa: PLC0415 - loads numpy

    rows = [
        [
            variant.name.replace("_", " ") if variant.name in BASELINES else variant.name,
            seeds_text(variant),
            *(scored_text(variant.metrics[metric].value, len(variant.seeds)) for metric in table.headlines),
        ]
        for variant in table.variants
    ]
    return render_table(["variant", "seeds", *map(metric_label, table.headlines)], rows)


def _failed_runs(failures: _Failures, runs: Sequence[PlannedRun], baselines: BaselineRun) -> list[FailedRun]:
    """Return the runs without a score, each with its reason."""
    reasons = {**failures.errors, **failures.deaths}
    # Of the variants that share a training, some may be scored and others not.
    lost = [run for run in runs if run.plan.folder in reasons and not run.is_done()]
    found = [FailedRun(run.variant, run.seed, reasons[run.plan.folder]) for run in lost]
    if baselines.folder in reasons:
        found += [FailedRun(name, None, reasons[baselines.folder]) for name in BASELINES]
    return found


def _report(failed: Sequence[FailedRun]) -> None:
    """Print the failed runs with their reasons."""
    for run in failed:
        say(f"ablation        {_named(run)}, failed: {run.reason}")


def _named(run: FailedRun) -> str:
    return run.variant if run.seed is None else f"{run.variant}, seed {run.seed}"
