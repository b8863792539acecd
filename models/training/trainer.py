"""One training run, epoch by epoch: train, validate, save."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.base.errors import DataError, SettingError
from features.base.modalities import TEXT
from features.base.parallel import prefetch
from models.data.batching import Batch, iterate_batches
from models.data.distributed import WHOLE_BATCH, BatchSlice, all_reduce_scalar, broadcast, own_slice
from models.data.sources import FeatureSource, used_modalities
from models.losses.class_weights import class_weights
from models.network.network import VideoNetwork
from models.network.token_embedding import mean_token_embeddings
from models.prediction.checkpoints import CheckpointInfo, save
from models.training.history import EpochRecord, write_history
from models.training.optimizer import learning_rate_at
from models.training.resume import ResumeState, read_resume_state, run_identity, write_resume_state
from models.training.seeding import seeded
from models.training.train_step import Updater
from models.training.validation import Validation, validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import torch

    from models.config.network import NetworkConfig
    from models.config.training import TrainConfig
    from models.data.labels import Indices, Labels

# Batches that a thread collates ahead of the current update.
_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class LabelledFeatures:
    """Features and labels of the training and validation clips.

    Attributes:
        source: The clips.
        labels: Their labels.
        splits: ``train`` and ``validation`` -> positions in ``source``.
        recipes: Modality -> recipe of its features.
    """

    source: FeatureSource
    labels: Labels
    splits: Mapping[str, Indices]
    recipes: Mapping[str, str]


@dataclass
class Trainer:
    """The state of a run; call ``run_epoch`` until ``is_finished``.

    If several processes share the batches, the first one validates and writes the files.

    Attributes:
        data: Features and labels.
        network_config: Shape of the network.
        config: How to train.
        folder: Where checkpoint, history and resume state go; it exists.
        device: Of the network.
        network: The network that is trained.
        updater: Its optimizer and running mean.
        best_rank: Rank of the best epoch so far.
        history: The finished epochs.
    """

    data: LabelledFeatures
    network_config: NetworkConfig
    config: TrainConfig
    folder: Path
    device: torch.device
    network: VideoNetwork = field(init=False)
    updater: Updater = field(init=False)
    best_rank: tuple[float, ...] = field(init=False, default=())
    history: list[EpochRecord] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.slice = own_slice()
        self._check_batch_size()
        labels = self.data.labels
        self.dims = used_modalities(self.network_config, self.data.source.modality_dims)
        self.network = self._make_network().to(self.device)
        weights = class_weights(labels, self.data.splits["train"], self.config.class_weight_power)
        self.updater = Updater(self.network, self.config, weights.to(self.device))
        self.identity = run_identity(
            (self.network_config, self.config),
            labels,
            self.data.splits,
            {name: (width, self.data.recipes.get(name)) for name, width in self.dims.items()},
        )

    def _check_batch_size(self) -> None:
        # Batches of equal size may have half of ``batch_size`` clips, and each process needs one.
        num_processes, num_clips = self.slice.num_processes, len(self.data.splits["train"])
        if num_processes > 1 and min(self.config.batch_size // 2, num_clips) < num_processes:
            raise DataError(
                f"{num_processes} processes cannot share batches of {self.config.batch_size} out of {num_clips} "
                f"training clips: raise batch_size to at least {2 * num_processes}, or lower num_processes"
            )

    def _make_network(self) -> VideoNetwork:
        """Return the network with its first weights, the same in every process."""
        labels, tokens = self.data.labels, None
        if TEXT in self.dims and self.network_config.text_embedding != "frozen":
            tokens = mean_token_embeddings(self.data.source, self.data.splits["train"])
        with seeded(self.config.seed, 0, self.device):
            network = VideoNetwork(
                self.network_config,
                self.dims,
                len(labels.category_names),
                len(labels.tag_names),
                num_tokens=0 if tokens is None else len(tokens[0]),
            )
        if tokens is not None and network.prepare.table is not None:
            network.prepare.table.start_from(*tokens)
        return network

    @property
    def is_first(self) -> bool:
        """Return whether this process is the one that validates and writes."""
        return self.slice.rank == 0

    def resume(self) -> None:
        """Restore the state of a killed run of the same identity, if there is one."""
        state = read_resume_state(self.folder, self.identity)
        if state is None:
            return
        self.network.load_state_dict(state.network)
        self.updater.optimizer.load_state_dict(dict(state.optimizer))
        average = self.updater.average
        if average is not None:
            average.network.load_state_dict(state.average)
            average.num_updates = state.num_updates
        self.best_rank = state.best_rank
        self.history = list(state.history)

    def is_finished(self) -> bool:
        """Return whether all epochs are done, or the patience has run out."""
        return len(self.history) >= self.config.epochs or self.is_out_of_patience()

    def is_out_of_patience(self) -> bool:
        """Return whether the last ``patience_epochs`` epochs were no improvement."""
        waited = len(self.history) - (self.selected().epoch if self.history else 0)
        return 0 < self.config.patience_epochs <= waited

    def selected(self) -> EpochRecord:
        """Return the epoch that is the checkpoint."""
        return next(record for record in reversed(self.history) if record.is_best)

    def run_epoch(self) -> EpochRecord:
        """Train for one epoch, validate and save; return the new record."""
        started = time.monotonic()
        epoch = len(self.history) + 1
        train_loss, learning_rate = self._learn(epoch)
        result = broadcast(self._validate() if self.is_first else Validation(None, {}))
        rank = result.rank(self.config.selection_metric)
        is_best = epoch == 1 or not rank or rank > self.best_rank
        if is_best:
            self.best_rank = rank
        record = EpochRecord(
            epoch=epoch,
            learning_rate=learning_rate,
            train_loss=train_loss,
            validation_loss=result.loss,
            category_map=result.metrics.get("category_map"),
            tag_map=result.metrics.get("tag_map"),
            score=result.mean_ap,
            metrics=result.metrics,
            is_best=is_best,
            seconds=time.monotonic() - started,
        )
        self.history.append(record)
        if self.is_first:
            self._write(record)
        return record

    def _learn(self, epoch: int) -> tuple[float, float]:
        """Train on every clip once; return the mean loss and the last learning rate."""
        num_clips = len(self.data.splits["train"])
        updates_per_epoch = math.ceil(num_clips / self.config.batch_size)
        update = (epoch - 1) * updates_per_epoch
        loss_sum = 0.0
        self.network.train()
        with (
            seeded(self.config.seed, epoch, self.device, rank=self.slice.rank) as generator,
            closing(prefetch(self._batches("train", generator, self.slice), _BATCHES_AHEAD)) as batches,
        ):
            for batch in batches:
                rate = learning_rate_at(update, self.config.epochs * updates_per_epoch, self.config)
                loss_sum += self._update(batch, rate)
                update += 1
        loss_sum = all_reduce_scalar(loss_sum)
        if not math.isfinite(loss_sum):
            raise SettingError(
                f"the training loss of epoch {epoch} is {loss_sum}: lower learning_rate, now "
                f"{self.config.learning_rate}"
            )
        return loss_sum / num_clips, rate

    def _update(self, batch: Batch, learning_rate: float) -> float:
        """Update once; return the loss of this process's clips as their part of the sum over all clips."""
        batch = batch.to(self.device)
        if batch.labels is None:
            return 0.0
        num_clips = all_reduce_scalar(len(batch.labels.category)) / self.slice.num_processes
        return self.updater.update(batch, batch.labels, learning_rate) * num_clips

    def _validate(self) -> Validation:
        with closing(prefetch(self._batches("validation", None, WHOLE_BATCH), _BATCHES_AHEAD)) as batches:
            return validate(self._evaluated(), batches, self.config, self.device)

    def _evaluated(self) -> VideoNetwork:
        """Return the network that is validated and saved, in evaluation mode."""
        average = self.updater.average
        return average.network if average is not None else self.network.eval()

    def _batches(self, split: str, generator: np.random.Generator | None, batch_slice: BatchSlice) -> Iterator[Batch]:
        return iterate_batches(
            self.data.source,
            self.data.splits[split],
            self.network_config,
            self.config.batch_size,
            labels=self.data.labels,
            generator=generator,
            batch_slice=batch_slice,
        )

    def _write(self, record: EpochRecord) -> None:
        """Publish checkpoint, history and resume state; a kill between any two costs one epoch at most."""
        if record.is_best:
            save(self.folder, self._evaluated(), self._checkpoint_info(record))
        write_history(self.folder, self.history)
        average = self.updater.average
        state = ResumeState(
            identity=self.identity,
            network=self.network.state_dict(),
            average=average.network.state_dict() if average is not None else {},
            num_updates=average.num_updates if average is not None else 0,
            optimizer=self.updater.optimizer.state_dict(),
            best_rank=self.best_rank,
            history=tuple(self.history),
        )
        write_resume_state(self.folder, state)

    def _checkpoint_info(self, record: EpochRecord) -> CheckpointInfo:
        table = self.network.prepare.table
        return CheckpointInfo(
            network=self.network_config,
            modality_dims=self.dims,
            feature_recipes={name: self.data.recipes[name] for name in self.dims if name in self.data.recipes},
            category_names=self.data.labels.category_names,
            tag_names=self.data.labels.tag_names,
            num_tokens=0 if table is None else len(table.known),
            selected_epoch=record.epoch,
            validation_score=record.score,
        )
