"""Everything that one training reads, as plain values that another process can be given as a file."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.base.files import publish_json
from features.manifests.corpus import read_labels, read_records
from models.config.network import NetworkConfig
from models.config.training import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from features.formats.records import ClipRecord
    from features.formats.sharded_clips import ShardedClips
    from models.data.labels import Labels
    from models.training.history import EpochRecord
    from models.training.train import TrainSummary

# Raise it when the same settings and inputs give another network than before.
TRAINING_VERSION = 1


@dataclass(frozen=True)
class TrainingData:
    """What is learnt from; several trainings may share it.

    Attributes:
        shards: Modality -> its embedding shards, in order.
        records: The record shards of the same clips, in order.
        splits: ``train``, ``validation`` or ``test`` of every clip.
        known_labels: The labels of every clip, where this process has them already; they are not written.
    """

    shards: Mapping[str, tuple[Path, ...]]
    records: tuple[Path, ...]
    splits: tuple[str, ...]
    known_labels: Labels | None = field(default=None, compare=False, repr=False)

    @functools.cached_property
    def clips(self) -> ShardedClips:
        """The features of every clip."""
        from features.formats.sharded_clips import ShardedClips  # noqa: PLC0415 - loads HDF5

        return ShardedClips(self.shards)

    @functools.cached_property
    def labels(self) -> Labels:
        """The labels of every clip; read from the record shards unless they are known."""
        if self.known_labels is not None:
            return self.known_labels
        records = [record for path in self.records for record in read_records(path)]
        return labels_of(records, self.records[0].parent)

    def write(self, path: Path) -> None:
        """Publish it as JSON."""
        shards = {name: [str(shard) for shard in shards] for name, shards in self.shards.items()}
        records = [str(shard) for shard in self.records]
        # A list of pairs: the order of the modalities is the order of the fusion.
        publish_json(path, {"shards": [*shards.items()], "records": records, "splits": self.splits})

    @classmethod
    def read(cls, path: Path) -> TrainingData:
        """Return what :meth:`write` published."""
        row = json.loads(path.read_text(encoding="utf-8"))
        shards = {name: tuple(map(Path, shards)) for name, shards in row["shards"]}
        return cls(shards, tuple(map(Path, row["records"])), tuple(row["splits"]))


@dataclass(frozen=True)
class TrainingPlan:
    """How one network is trained, and where to.

    Attributes:
        network: Its shape.
        train: How it is trained.
        folder: Of the checkpoint.
    """

    network: NetworkConfig
    train: TrainConfig
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"network": asdict(self.network), "train": asdict(self.train), "folder": str(self.folder)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingPlan:
        """Return what :meth:`to_json` gave."""
        return cls(NetworkConfig(**value["network"]), TrainConfig(**value["train"]), Path(value["folder"]))


@dataclass(frozen=True)
class TrainingFacts:
    """How a training ended; see ``models.training.train.TrainSummary``."""

    num_parameters: int
    num_epochs: int
    selected_epoch: int
    validation_score: float | None
    stopped_early: bool

    @classmethod
    def of(cls, summary: TrainSummary) -> TrainingFacts:
        """Return the facts of a training's summary."""
        return cls(**{item.name: getattr(summary, item.name) for item in fields(cls)})


def train_here(
    data: TrainingData,
    plan: TrainingPlan,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    *,
    device: str | None = None,
) -> TrainSummary:
    """Train in this process; a killed training resumes after its last epoch."""
    from models.data.labels import positions_of  # noqa: PLC0415 - loads numpy
    from models.training.train import train  # noqa: PLC0415 - loads torch

    return train(
        data.clips,
        data.labels,
        positions_of(data.splits, "train"),
        positions_of(data.splits, "validation"),
        plan.network,
        plan.train,
        plan.folder,
        feature_recipes=data.clips.recipes(),
        device=device,
        on_epoch=on_epoch,
    )


def labels_of(records: Sequence[ClipRecord], corpus: Path) -> Labels:
    """Return the labels of records in the label space of the corpus in a folder."""
    from models.data.labels import build_labels  # noqa: PLC0415 - loads numpy

    space = read_labels(corpus)
    return build_labels(
        space.categories, space.tags, [record.category for record in records], [record.tags for record in records]
    )
