"""Checkpoints of random weights, for tests of what is done with a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from models.data.batching import iterate_batches
from models.network.network import VideoNetwork
from models.prediction.checkpoints import CheckpointInfo, save
from tests.models.synthetic import SMALL_NETWORK, random_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.config.network import NetworkConfig

DIMS = {"frames": 6, "audio": 5, "text": 4}
RECIPES = {name: f"recipe of {name}" for name in DIMS}
CATEGORIES = ("category0", "category1", "category2")
TAGS = ("tag0", "tag1")


def saved_network(
    folder: Path,
    seed: int = 0,
    *,
    config: NetworkConfig = SMALL_NETWORK,
    names: Sequence[str] = tuple(DIMS),
    tags: tuple[str, ...] = TAGS,
) -> Path:
    """A network of random weights that has seen a few clips."""
    dims = {name: DIMS[name] for name in names}
    torch.manual_seed(seed)
    network = VideoNetwork(config, dims, len(CATEGORIES), len(tags), num_tokens=10)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    network(next(iterate_batches(random_source(30, dims), np.arange(30), config, 30)))  # moves the batch norms
    folder.mkdir()
    save(folder, network.eval(), CheckpointInfo(config, dims, RECIPES, CATEGORIES, tags, 10, 1, 0.5))
    return folder
