"""A network trained on the cached embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import luigi

from features.base.files import published, sha256_of_json
from features.base.settings import identity_values
from models.config.artifacts import CALIBRATION_NAME, CHECKPOINT_NAMES, HISTORY_NAME, RESUME_NAME, STRUCTURE_NAMES
from tasks.config.run import settings
from tasks.core.console import Progress
from tasks.core.receipts import FileReceipt
from tasks.core.stage import Stage
from tasks.stages.dataset import extract_stages, read_labelled_corpus, shard_paths
from tasks.stages.manifest import Manifest
from tasks.training.ensemble import (
    ALONE,
    check_member,
    ensemble_members,
    fold_members,
    member_config,
    member_identity,
    member_splits,
)
from tasks.training.torchrun import check_machine, num_processes, train_together
from tasks.training.training_job import TRAINING_VERSION, TrainingData, TrainingFacts, TrainingPlan, train_here

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.config.training import TrainConfig


class Train(Stage):
    """A checkpoint and the history of its training."""

    stage_version: ClassVar[int] = TRAINING_VERSION
    is_training: ClassVar[bool] = True

    member: str = luigi.Parameter(
        default=ALONE,
        positional=False,
        description="Network of an ensemble: fold-0, fold-1, ... or seed-1, seed-2, ...; nothing for a single network",
    )

    def check_settings(self) -> None:
        """Check the member, too."""
        super().check_settings()
        check_member(self.member)

    @property
    def stage_name(self) -> str:
        """Name of the stage's folder; each member has its own."""
        return f"train-{self.member}" if self.member else "train"

    def train_config(self) -> TrainConfig:
        """Return how this member is trained."""
        return member_config(settings().train, self.member)

    def identity_settings(self) -> Mapping[str, object]:
        """Return the shape of the network, how it is trained, and on which folds."""
        return {
            "network": identity_values(settings().network),
            "train": identity_values(self.train_config()),
            **member_identity(self.member),
        }

    def inputs(self) -> Mapping[str, Stage]:
        """Return the corpus and the embeddings of every modality that is used."""
        return {"manifest": Manifest(), **extract_stages()}

    def training_data(self) -> TrainingData:
        """Return the training data, with the splits of this member."""
        manifest = Manifest()
        corpus = read_labelled_corpus(manifest)
        splits = member_splits(corpus.records, corpus.splits, self.member)
        return TrainingData(shard_paths(), manifest.shard_paths(), tuple(splits), corpus.labels)

    def check_before_build(self) -> None:
        """Check that the machine has the devices that the settings name."""
        check_machine(self.train_config())

    def build(self) -> tuple[Sequence[FileReceipt], int, Mapping[str, object]]:
        """Train; a killed training resumes after its last epoch."""
        plan = TrainingPlan(settings().network, self.train_config(), self.folder)
        data = self.training_data()
        self._forget_other_training()
        with Progress(self.stage_name, plan.train.epochs, self.folder, unit="epoch") as progress:
            facts = _train(data, plan, progress)
        receipts = self._receipts(facts.num_epochs)
        return receipts, len(receipts), _facts_of(facts)

    def _forget_other_training(self) -> None:
        """Remove what a killed training left if it saw other features, or if this one is to start afresh."""
        inputs = sha256_of_json({name: stage.published_success().digest for name, stage in self.inputs().items()})
        note = self.folder / "resume.inputs"
        if self.is_forced() or not note.exists() or note.read_text(encoding="utf-8") != inputs:
            (self.folder / RESUME_NAME).unlink(missing_ok=True)
        with published(note) as temporary:
            temporary.write_text(inputs, encoding="utf-8")

    def _receipts(self, num_epochs: int) -> list[FileReceipt]:
        there = [name for name in (CALIBRATION_NAME, *STRUCTURE_NAMES) if (self.folder / name).exists()]
        return [
            *(FileReceipt.of(self.folder, name, 1) for name in CHECKPOINT_NAMES),
            *(FileReceipt.of(self.folder, name, 1, is_record=name in STRUCTURE_NAMES) for name in there),
            FileReceipt.of(self.folder, HISTORY_NAME, num_epochs, is_record=True),
        ]


def _train(data: TrainingData, plan: TrainingPlan, progress: Progress) -> TrainingFacts:
    """Train in this process, or in several as the settings decide."""
    number = num_processes(plan.train)
    if number > 1:
        return train_together(data, plan, number, progress.advance)
    return TrainingFacts.of(train_here(data, plan, on_epoch=lambda _: progress.advance()))


def _facts_of(facts: TrainingFacts) -> dict[str, object]:
    return {
        "epochs": facts.num_epochs,
        "selected_epoch": facts.selected_epoch,
        "validation_score": facts.validation_score,
        "parameters": facts.num_parameters,
        "stopped_early": facts.stopped_early,
    }


def train_stages() -> dict[str, Train]:
    """Return the training of every network whose predictions count, by the name of its folder."""
    return _by_name([Train(member=member) for member in ensemble_members()])


def fold_stages() -> dict[str, Train]:
    """Return the training of every fold's network, by the name of its folder."""
    return _by_name([Train(member=member) for member in fold_members()])


def _by_name(stages: Sequence[Train]) -> dict[str, Train]:
    return {stage.stage_name: stage for stage in stages}
