"""The learning rate over a run."""

import math

from models.config import TrainConfig


def learning_rate_at(step: int, num_steps: int, config: TrainConfig) -> float:
    """The learning rate of `step` (from 0) of `num_steps`: a linear rise, then a half cosine towards 0.

    With w warm-up steps the rates are peak/w, 2 peak/w, ..., peak, and then peak (1 + cos(pi t)) / 2 with t
    from 0 to below 1 (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts).
    """
    warmup_steps = round(config.warmup_fraction * num_steps)
    if step < warmup_steps:
        return config.learning_rate * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (num_steps - warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
