"""One update of the weights: forward and backward, also with perturbed embeddings, optimizer, running mean."""

from __future__ import annotations

import copy
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


class Updater:
    """A network, its optimizer and the running mean of its weights.

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
                # Every process already computes the batch norms' statistics of the whole batch. Newer versions of
                # torch rename the argument and warn about the old name, the only one in older versions.
                warnings.simplefilter("ignore", FutureWarning)
                self._synchronised = DistributedDataParallel(network, broadcast_buffers=False)

    def update(self, batch: Batch, labels: BatchLabels, learning_rate: float) -> float:
        """Update the weights from this process's clips; return their loss, whose mean over processes is the batch's."""
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
        """Compute the gradients, summed over all passes; return the loss of the unperturbed clips."""
        counts = shared_counts(labels)

        def loss_of(
            perturbations: Mapping[str, Tensor] | None, captured: dict[str, Tensor] | None, *, is_last: bool
        ) -> Tensor:
            # DistributedDataParallel averages the gradients over the processes once, in the last pass.
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
    """Return the divisors of this process's losses that make their mean over processes that of the batch."""
    num_processes = own_slice().num_processes
    own = LabelCounts.of(labels)
    return LabelCounts(all_reduce_scalar(own.category) / num_processes, all_reduce_scalar(own.tags) / num_processes)


def batch_device(batch: Batch) -> torch.device:
    """Return the device of the tensors of a batch."""
    return next(iter(batch.masks.values())).device


class WeightAverage:
    """Exponential moving average of the weights of a network (Polyak and Juditsky 1992).

    The decay of update t is min(decay, (1 + t) / (10 + t)), so that the random first weights fade quickly.
    Buffers, such as the statistics of batch norms, are copied.

    Attributes:
        network: The averaged network, in evaluation mode.
        num_updates: Updates so far.
    """

    def __init__(self, network: VideoNetwork, decay: float) -> None:
        self._decay = decay
        self.num_updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)

    def update(self, network: VideoNetwork) -> None:
        """Average in the weights of ``network`` after an update."""
        decay = min(self._decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        with torch.no_grad():
            for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)
            for kept, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
                kept.copy_(buffer)
