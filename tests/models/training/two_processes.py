"""A training in several processes of torchrun: ``python -m tests.models.training.two_processes FOLDER KIND``."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.config.training import TrainConfig
from models.data.distributed import process_group
from models.training.train import train
from tests.models.synthetic import SMALL_NETWORK, random_labels, random_source

DIMS = {"frames": 10, "audio": 7, "text": 9, "cover": 10}
RECIPES = {name: f"recipe of {name}" for name in DIMS}
NETWORK = replace(
    SMALL_NETWORK, frames_aggregator="nextvlad", text_embedding="both", heads="cascade", modality_heads=True
)
# 27 training clips in batches of 12: no process has as many clips as the other.
PLAIN = TrainConfig(epochs=4, batch_size=12, learning_rate=3e-3, gradient_clip=1.0, ema_decay=0.5, tensorboard=False)
KINDS = {
    "plain": PLAIN,
    "adversarial": replace(PLAIN, adversarial="pgd", adversarial_steps=2),
    "bfloat16": replace(PLAIN, precision="bfloat16"),
    "flooded": replace(PLAIN, flood_level=4.0, class_weight_power=0.5),
}


def run(folder: Path, kind: str) -> None:
    """Train, in this process or as one of several."""
    source, labels = random_source(41, DIMS), random_labels(41)
    train(source, labels, np.arange(27), np.arange(27, 41), NETWORK, KINDS[kind], folder, feature_recipes=RECIPES)


if __name__ == "__main__":
    with process_group("cpu"):
        run(Path(sys.argv[1]), sys.argv[2])
    # As in tasks.training.torchrun.
    os._exit(0)
