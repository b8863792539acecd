"""One training run, epoch by epoch: learn, validate, save."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.averaging import WeightAverage
from models.batching import Batch, ClipSource, Indices, Labels, iterate_batches
from models.checkpoints import CheckpointInfo, save
from models.config import NetworkConfig, TrainConfig
from models.errors import SettingError
from models.history import EpochRecord, write_history
from models.losses import total_loss
from models.network import VideoNetwork
from models.optimizer import make_optimizer
from models.resume import ResumeState, read_resume_state, run_identity, write_resume_state
from models.schedule import learning_rate_at
from models.seeding import seeded
from models.validation import validate


@dataclass(frozen=True)
class TrainingData:
    """What to learn from.

    Attributes:
        source: The clips.
        labels: Their labels.
        splits: `train` and `validation` -> positions in `source`.
        recipes: Modality -> recipe of its features.
    """

    source: ClipSource
    labels: Labels
    splits: Mapping[str, Indices]
    recipes: Mapping[str, str]


@dataclass
class Trainer:
    """The moving parts of a run; `run_epoch` until `is_finished`.

    Attributes:
        data: What to learn from.
        network_config: Shape of the network.
        config: How to train.
        folder: Where checkpoint, history and resume state go; it exists.
        device: Where the arithmetic happens.
        network: The network that is trained.
        average: The running mean of its weights; None when it is off.
        optimizer: Its optimizer.
        best_rank: Rank of the best epoch so far.
        history: The finished epochs.
    """

    data: TrainingData
    network_config: NetworkConfig
    config: TrainConfig
    folder: Path
    device: torch.device
    network: VideoNetwork = field(init=False)
    average: WeightAverage | None = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    best_rank: tuple[float, ...] = field(init=False, default=())
    history: list[EpochRecord] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        labels, dims = self.data.labels, self.data.source.modality_dims
        with seeded(self.config.seed, 0, self.device):
            network = VideoNetwork(self.network_config, dims, len(labels.category_names), len(labels.tag_names))
        self.network = network.to(self.device)
        self.average = WeightAverage(self.network, self.config.ema_decay) if self.config.ema_decay else None
        self.optimizer = make_optimizer(self.network, self.config)
        self.identity = run_identity(
            (self.network_config, self.config),
            labels,
            self.data.splits,
            {name: (width, self.data.recipes.get(name)) for name, width in dims.items()},
        )

    def resume(self) -> None:
        """Take over what the same call left when it was killed."""
        state = read_resume_state(self.folder, self.identity)
        if state is None:
            return
        self.network.load_state_dict(state.network)
        self.optimizer.load_state_dict(dict(state.optimizer))
        if self.average is not None:
            self.average.network.load_state_dict(state.average)
            self.average.num_updates = state.num_updates
        self.best_rank = state.best_rank
        self.history = list(state.history)

    def is_finished(self) -> bool:
        """Whether all epochs are done, or the patience has run out."""
        return len(self.history) >= self.config.epochs or self.is_out_of_patience()

    def is_out_of_patience(self) -> bool:
        """Whether the last `patience_epochs` epochs brought nothing better."""
        waited = len(self.history) - (self.selected().epoch if self.history else 0)
        return 0 < self.config.patience_epochs <= waited

    def selected(self) -> EpochRecord:
        """The epoch that is the checkpoint."""
        return next(record for record in reversed(self.history) if record.is_best)

    def run_epoch(self) -> EpochRecord:
        """One epoch: learn, validate, save; the new record."""
        started = time.monotonic()
        epoch = len(self.history) + 1
        train_loss, learning_rate = self._learn(epoch)
        evaluated = self.average.network if self.average is not None else self.network.eval()
        result = validate(evaluated, self._batches("validation"), self.config, self.device)
        rank = result.rank(self.config.selection_metric)
        is_best = epoch == 1 or not rank or rank > self.best_rank
        if is_best:
            self.best_rank = rank
            save(self.folder, evaluated, self._checkpoint_info(epoch, result.score))
        record = EpochRecord(
            epoch=epoch,
            learning_rate=learning_rate,
            train_loss=train_loss,
            validation_loss=result.loss,
            category_map=result.category_map,
            tag_map=result.tag_map,
            score=result.score,
            is_best=is_best,
            seconds=time.monotonic() - started,
        )
        self.history.append(record)
        self._write_progress()
        return record

    def _learn(self, epoch: int) -> tuple[float, float]:
        """Mean training loss and last learning rate of one pass over the training clips."""
        num_clips = len(self.data.splits["train"])
        steps_per_epoch = math.ceil(num_clips / self.config.batch_size)
        step = (epoch - 1) * steps_per_epoch
        loss_sum = 0.0
        self.network.train()
        with seeded(self.config.seed, epoch, self.device) as generator:
            for batch in self._batches("train", generator):
                rate = learning_rate_at(step, self.config.epochs * steps_per_epoch, self.config)
                loss_sum += self._step(batch, rate)
                step += 1
        if not math.isfinite(loss_sum):
            raise SettingError(
                f"the training loss of epoch {epoch} is {loss_sum}: lower learning_rate, now "
                f"{self.config.learning_rate}"
            )
        return loss_sum / num_clips, rate

    def _step(self, batch: Batch, learning_rate: float) -> float:
        """One step of the optimizer; the loss times the number of clips."""
        batch = batch.to(self.device)
        if batch.labels is None:
            return 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        loss = total_loss(self.network(batch), batch.labels, self.config)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self.config.gradient_clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.network)
        return float(loss.detach()) * len(batch.labels.category)

    def _batches(self, split: str, generator: np.random.Generator | None = None) -> Iterator[Batch]:
        return iterate_batches(
            self.data.source,
            self.data.splits[split],
            self.network_config,
            self.config.batch_size,
            labels=self.data.labels,
            generator=generator,
        )

    def _checkpoint_info(self, epoch: int, score: float | None) -> CheckpointInfo:
        return CheckpointInfo(
            network=self.network_config,
            modality_dims=dict(self.data.source.modality_dims),
            feature_recipes=dict(self.data.recipes),
            category_names=self.data.labels.category_names,
            tag_names=self.data.labels.tag_names,
            selected_epoch=epoch,
            validation_score=score,
        )

    def _write_progress(self) -> None:
        """Put history and resume state on disk; a kill between any two writes costs one epoch at most."""
        write_history(self.folder, self.history)
        average = self.average
        state = ResumeState(
            identity=self.identity,
            network=self.network.state_dict(),
            average=average.network.state_dict() if average is not None else {},
            num_updates=average.num_updates if average is not None else 0,
            optimizer=self.optimizer.state_dict(),
            best_rank=self.best_rank,
            history=tuple(self.history),
        )
        write_resume_state(self.folder, state)
