"""A running mean of a network's weights, which generalises better than the last weights."""

import copy

import torch

from models.network.network import VideoNetwork


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
        """Take in the weights of `network` after a step of its training."""
        decay = min(self._decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        with torch.no_grad():
            for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)
            for kept, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
                kept.copy_(buffer)
