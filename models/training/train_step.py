"""One step of training: forward, backward, perhaps once more with moved embeddings, and the optimizer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.data.distributed import all_reduce_scalar, is_shared, own_slice
from models.losses.head_losses import LabelCounts
from models.losses.total_loss import flood, total_loss
from models.training.adversarial import adversarial_step
from models.training.optimizer import make_optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.config.training import TrainConfig
    from models.data.batching import Batch, BatchLabels
    from models.heads.logits import Outputs
    from models.losses.class_weights import ClassWeights
    from models.network.network import VideoNetwork

import copy


class Updater:
    """A network with all that changes it.

    Args:
        network: The network, on its device.
        config: How it is trained.
        weights: Of the classes.

    Attributes:
        average: The running mean of its weights; None when it is off.
        optimizer: Its optimizer.
    """

    def __init__(self, network: VideoNetwork, config: TrainConfig, weights: ClassWeights) -> None:
        self.network = network
        self.config = config
        self.weights = weights
        self.average = WeightAverage(network, config.ema_decay) if config.ema_decay else None
        self.optimizer = make_optimizer(network, config)
        self._synchronised: nn.Module = network
        if is_shared():
            with warnings.catch_warnings():
                # The statistics of the batch norms are those of the whole batch everywhere already. The name of the
                # argument is changing, and older versions of torch know no other.
                warnings.simplefilter("ignore", FutureWarning)
                self._synchronised = DistributedDataParallel(network, broadcast_buffers=False)

    def step(self, batch: Batch, labels: BatchLabels, learning_rate: float) -> float:
        """One step on this process's clips; their loss, whose mean over all processes is that of the whole batch."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["rate"]
        self.optimizer.zero_grad()
        loss = self._backward(batch, labels)
        if self.config.gradient_clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.network)
        return loss

    def _backward(self, batch: Batch, labels: BatchLabels) -> float:
        """Leave the gradients, summed over all passes; the loss of the clean pass."""
        counts = shared_counts(labels)

        def loss_of(
            perturbations: Mapping[str, Tensor] | None, captured: dict[str, Tensor] | None, *, is_last: bool
        ) -> Tensor:
            # Gradients are averaged over the processes once, in the last pass.
            network = self._synchronised if is_last else self.network
            with torch.autocast(batch_device(batch).type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
                outputs: Outputs = network(batch, perturbations=perturbations, captured=captured)
            return total_loss(outputs, labels, self.config, counts=counts, weights=self.weights)

        loss = adversarial_step(loss_of, self.network, batch.masks, self.config, flooded=self._flooded)
        return float(loss)

    def _flooded(self, loss: Tensor) -> Tensor:
        if not self.config.flood_level:
            return loss
        whole = all_reduce_scalar(float(loss.detach())) / own_slice().num_processes
        return flood(loss, self.config.flood_level, global_loss=whole)


def shared_counts(labels: BatchLabels) -> LabelCounts:
    """What the losses of this process's clips are divided by, so that their mean over processes is the batch's."""
    num_processes = own_slice().num_processes
    own = LabelCounts.of(labels)
    return LabelCounts(all_reduce_scalar(own.category) / num_processes, all_reduce_scalar(own.tags) / num_processes)


def batch_device(batch: Batch) -> torch.device:
    """Where the tensors of a batch are."""
    return next(iter(batch.masks.values())).device


class WeightAverage:
    """Exponential moving average of the weights of a network (Polyak and Juditsky 1992).

    The decay of step t is min(decay, (1 + t) / (10 + t)), so that the random first weights fade quickly.
    Buffers, such as the statistics of batch norms, are copied.

    Attributes:
        network: The averaged network, in evaluation mode.
        num_updates: Steps taken so far.
    """

    def __init__(self, network: VideoNetwork, decay: float) -> None:
        self._decay = decay
        self.num_updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)

    def update(self, network: VideoNetwork) -> None:
        """Take in the weights of ``network`` after a step of its training."""
        decay = min(self._decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        with torch.no_grad():
            for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)
            for kept, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
                kept.copy_(buffer)
