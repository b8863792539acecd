from __future__ import annotations

import torch

from models.network.network import VideoNetwork
from models.training.train_step import WeightAverage
from tests.models.synthetic import SMALL_NETWORK

DIMS = {"frames": 6, "audio": 5}


def test_average_by_hand() -> None:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 2, 0)
    average = WeightAverage(network, 0.15)
    first = network.get_parameter("experts.0.embed.bias").detach().clone()
    with torch.no_grad():
        network.get_parameter("experts.0.embed.bias").add_(1.0)
        for buffer in network.buffers():
            buffer.add_(3)
    average.update(network)  # decay 1/10
    torch.testing.assert_close(average.network.get_parameter("experts.0.embed.bias"), first + 0.9)
    average.update(network)  # decay min(0.15, 2/11)
    torch.testing.assert_close(average.network.get_parameter("experts.0.embed.bias"), first + 0.15 * 0.9 + 0.85)
    for kept, buffer in zip(average.network.buffers(), network.buffers(), strict=True):
        assert torch.equal(kept, buffer)
    assert not average.network.training
    assert torch.equal(network.get_parameter("experts.0.embed.bias").detach(), first + 1.0)
