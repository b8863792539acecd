"""The optimizer, AdamW with a learning rate for each part of the network, and its learning rate over a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from features.base.modalities import TEXT, network_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.config.training import TrainConfig

_MATRIX_RANK = 2

# Where the trained text table is in a ``VideoNetwork``.
_TABLE = "prepare.table."

# The parts of an expert that have one module for each modality.
_OF_MODALITY = ("encoders", "modality_heads")


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) that decays matrices only, no bias or norm.

    Each group of weights has the factor ``rate``: its learning rate is that of the schedule times ``rate``. The
    trained text table is not decayed either: the row of a token that is in no clip of a batch would shrink
    without a gradient against it.
    """
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    for name, weight in network.named_parameters():
        is_decayed = weight.ndim >= _MATRIX_RANK and not name.startswith(_TABLE)
        groups.setdefault((part_of(name), config.weight_decay if is_decayed else 0.0), []).append(weight)
    return torch.optim.AdamW(
        [_group(part, decay, weights, config) for (part, decay), weights in groups.items()], fused=True
    )


def _group(part: str, decay: float, weights: Sequence[nn.Parameter], config: TrainConfig) -> dict[str, object]:
    """Return the optimizer's options of weights of one part."""
    rate = getattr(config, f"{part}_rate")
    return {"params": weights, "weight_decay": decay, "rate": rate, "lr": config.learning_rate * rate}


def part_of(weight_name: str) -> str:
    """Return the part of a ``VideoNetwork`` that the named weight is in: ``frames``, ``audio``, ``text`` or ``head``.

    The encoder of a modality and its own heads belong to the group of the modality, for instance those of motion to
    ``frames``. Everything else is the head.
    """
    if weight_name.startswith(_TABLE):
        return TEXT
    match weight_name.split("."):
        case ["experts", _, part, modality, *_] if part in _OF_MODALITY:
            return network_group(modality)
    return "head"


def learning_rate_at(update: int, num_updates: int, config: TrainConfig) -> float:
    """Return the learning rate of ``update`` (from 0) of ``num_updates``: a linear rise, then a fall.

    With w warm-up updates the rates are peak/w, 2 peak/w, ..., peak, and after them, from the peak:
    - cosine: peak (1 + cos(pi t)) / 2, with t from 0 to below 1 (Loshchilov and Hutter 2017, arXiv 1608.03983,
      without restarts);
    - exponential: peak f^t for the final fraction f, with t from 0 to 1 at the last update.
    """
    num_warmup = round(config.warmup_fraction * num_updates)
    if update < num_warmup:
        return config.learning_rate * (update + 1) / num_warmup
    num_falling = num_updates - num_warmup
    if config.schedule == "exponential":
        progress = (update - num_warmup) / max(1, num_falling - 1)
        return float(config.learning_rate * config.final_rate_fraction**progress)
    progress = (update - num_warmup) / num_falling
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
