"""Training: epochs over the training clips, the best epoch by the validation clips, resumable after a kill.

The same call on the same machine gives the same weights to the last bit, interrupted or not: the first weights, the
order of the clips and the dropout of each epoch depend on the seed and the epoch's number alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from features.base.errors import DataError
from features.base.machine import resolve_device
from models.calibration.schema import remove_calibration
from models.data.sources import CachedSource, FeatureSource, used_modalities
from models.prediction.checkpoints import load
from models.structure.describe import write_structure
from models.training.calibrate import calibrate_checkpoint
from models.training.history import EpochRecord, event_log
from models.training.resume import remove_resume_state
from models.training.seeding import cpu_threads, repeatable
from models.training.trainer import LabelledFeatures, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.config.network import NetworkConfig
    from models.config.training import TrainConfig
    from models.data.labels import Indices, Labels

_MEGABYTE = 10**6


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended.

    Attributes:
        num_parameters: Trained numbers in the network.
        num_epochs: Epochs that were run, those before a resumption included.
        selected_epoch: The epoch whose weights are the checkpoint, from 1.
        validation_score: Its result, 0 to 1; None without labelled validation clips.
        stopped_early: Whether the patience ran out before the last epoch.
        seconds: Sum of the epochs' wall times.
        history: Every epoch.
    """

    num_parameters: int
    num_epochs: int
    selected_epoch: int
    validation_score: float | None
    stopped_early: bool
    seconds: float
    history: tuple[EpochRecord, ...]


def train(  # noqa: PLR0913 - five things to train on, two configs, and where to; a bundle would hide them
    source: FeatureSource,
    labels: Labels,
    train_indices: Indices,
    validation_indices: Indices,
    network: NetworkConfig,
    config: TrainConfig,
    folder: Path,
    *,
    feature_recipes: Mapping[str, str],
    device: str | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainSummary:
    """Train a network, write its best epoch into ``folder`` as a checkpoint, and return a summary.

    Also written to ``folder``: ``history.jsonl``, event files for TensorBoard, a description and a picture of the
    network, the calibration, and, until the end, ``resume.pt``: the same call after a kill continues after the last
    finished epoch. Every process of a training that torchrun started makes this call; the first one writes.

    The best epoch is the one with the highest rank on the validation clips (see ``Validation.rank``), the earliest
    of equals. Without labelled validation clips it is the last one, and there is no early stopping. Classes without a
    positive validation clip do not count.

    Args:
        source: The clips.
        labels: Their labels, in the same order.
        train_indices: ``(n,)`` positions of the clips to learn from.
        validation_indices: ``(m,)`` positions of the clips that choose the epoch; may be empty.
        network: Shape of the network.
        config: How to train.
        folder: Created if it does not exist. The files of an earlier run are replaced.
        feature_recipes: Modality -> text that identifies how the features were made, for the checkpoint.
        device: Name of a torch device; None = the one that ``config`` names.
        on_epoch: Called after each epoch, when its files are on disk.

    Raises:
        DataError: There is no training clip, or none with a label.
        SettingError: The loss became infinite or NaN.
    """
    _check_data(source, labels, train_indices)
    folder.mkdir(parents=True, exist_ok=True)
    torch_device = resolve_device(config.device) if device is None else torch.device(device)
    splits = {"train": train_indices, "validation": validation_indices}
    # Modalities that the network does not use are not read.
    cached = CachedSource(source, config.cache_megabytes * _MEGABYTE, used_modalities(network, source.modality_dims))
    data = LabelledFeatures(cached, labels, splits, feature_recipes)
    with cpu_threads(config.num_threads), repeatable(torch_device):
        trainer = Trainer(data, network, config, folder, torch_device)
        trainer.resume()
        if trainer.is_first:
            # It belongs to the weights of an earlier run, which the first epoch replaces.
            remove_calibration(folder)
        with event_log(folder, trainer.history, is_on=config.tensorboard and trainer.is_first) as log:
            while not trainer.is_finished():
                record = trainer.run_epoch()
                if trainer.is_first:
                    log(record)
                    if on_epoch is not None:
                        on_epoch(record)
        if trainer.is_first:
            _finish(trainer, data)
    return _summary(trainer)


def _finish(trainer: Trainer, data: LabelledFeatures) -> None:
    """Write the files beside a checkpoint: the description of its network, and its calibration."""
    folder = trainer.folder
    write_structure(folder, load(folder).network)
    if trainer.config.calibrate:
        calibrate_checkpoint(
            folder,
            data.source,
            data.labels,
            validation_indices=data.splits["validation"],
            train_indices=data.splits["train"],
            feature_recipes=data.recipes,
            device=str(trainer.device),
        )
    remove_resume_state(folder)


def _summary(trainer: Trainer) -> TrainSummary:
    selected = trainer.selected()
    return TrainSummary(
        num_parameters=sum(weight.numel() for weight in trainer.network.parameters()),
        num_epochs=len(trainer.history),
        selected_epoch=selected.epoch,
        validation_score=selected.score,
        stopped_early=len(trainer.history) < trainer.config.epochs,
        seconds=sum(record.seconds for record in trainer.history),
        history=tuple(trainer.history),
    )


def _check_data(source: FeatureSource, labels: Labels, train_indices: Indices) -> None:
    if len(labels) != len(source):
        raise DataError(f"{len(labels)} labels for {len(source)} clips: give one label row a clip")
    if len(train_indices) == 0:
        raise DataError("the training split has no clip: give a larger manifest or other split fractions")
    has_category = (labels.category[train_indices] >= 0).any() and labels.category_names
    has_tags = labels.tags_known[train_indices].any() and labels.tag_names
    if not has_category and not has_tags:
        raise DataError(
            f"none of the {len(train_indices)} training clips has a category or tags: name the label fields "
            "of the manifest"
        )
