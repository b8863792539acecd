"""The optimizer: AdamW."""

import torch
from torch import nn

from models.config import TrainConfig

_MATRIX_RANK = 2


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) that decays matrices, but no bias, norm or vector."""
    weights = list(network.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim >= _MATRIX_RANK], "weight_decay": config.weight_decay},
        {"params": [w for w in weights if w.ndim < _MATRIX_RANK], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
