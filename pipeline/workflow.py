"""Which stages make a run."""

from __future__ import annotations

import luigi

from features.base.errors import SourceError
from pipeline.summary import closing_table
from tasks.config.run import force_stages, refresh
from tasks.core.console import say
from tasks.core.locking import hold_root
from tasks.core.stage import Stage, exit_on_error, forced_names, point_latest, root_folder, start_run
from tasks.stages.ablation import Ablation
from tasks.stages.clip_stage import stores_decoded
from tasks.stages.crossvalidate import CrossValidate
from tasks.stages.dataset import extract_stages, recognize_stages
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.evaluate import Evaluate
from tasks.stages.manifest import Manifest
from tasks.stages.predict import Predict
from tasks.stages.train import Train, fold_stages


def chain() -> list[Stage]:
    """Return every stage of a whole run, in the order in which they run."""
    evaluate = Evaluate()
    manifest = Manifest()
    inputs = evaluate.inputs().values()
    train = [stage for stage in inputs if isinstance(stage, Train)]
    ablation = [stage for stage in inputs if isinstance(stage, Ablation)]
    return [
        *manifest.inputs().values(),
        manifest,
        Download(),
        *([Decode()] if stores_decoded() else []),
        *recognize_stages().values(),
        *extract_stages().values(),
        *train,
        Predict(),
        *ablation,
        evaluate,
    ]


def stages_in_use() -> list[Stage]:
    """Return the stages of a whole run, then others that were started below this root: folds, an ablation."""
    besides: list[Stage] = []
    if _was_begun("crossvalidate") or any(map(_was_begun, fold_stages())):
        besides += [*fold_stages().values(), CrossValidate()]
    if _was_begun("ablation"):
        besides.append(Ablation())
    stages = chain()
    names = {stage.stage_name for stage in stages}
    return [*stages, *(stage for stage in besides if stage.stage_name not in names)]


def _was_begun(stage_name: str) -> bool:
    return (root_folder() / stage_name).is_dir()


class RunAll(luigi.Task):
    """Everything, from the manifest to the report."""

    force: str = luigi.Parameter(
        default="",
        significant=False,
        description="Stages to run again with all below them, such as Extract,Train",
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # Luigi has no types here
        with exit_on_error():
            start_run(self.force)

    def requires(self) -> list[Stage]:
        """Return every stage, so that each is checked and a missing shard is found anywhere."""
        return chain()

    def deps(self) -> list[Stage]:
        """Return every stage. Luigi calls this only when there is something to run, so the root is locked here."""
        hold_root(root_folder())
        return self.requires()

    def complete(self) -> bool:
        """Return whether every stage is complete and every ``latest`` points to it."""
        # RunAll begins a run: names that an earlier one in this process forced are dropped.
        refresh()
        force_stages(forced_names(self.force))
        answers: dict[Stage, bool] = {}
        return all(stage.is_complete(answers) and _is_latest(stage) for stage in self.requires())

    def run(self) -> None:
        """Point every ``latest`` to this run, and print the summary."""
        stages = self.requires()
        for stage in stages:
            point_latest(stage)
        say(closing_table(stages))


def _is_latest(stage: Stage) -> bool:
    try:
        return (stage.folder.parent / "latest").resolve() == stage.folder.resolve()
    except SourceError:
        return False
