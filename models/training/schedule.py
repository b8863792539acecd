"""The learning rate over a run."""

import math

from models.config.training import TrainConfig


def learning_rate_at(step: int, num_steps: int, config: TrainConfig) -> float:
    """The learning rate of `step` (from 0) of `num_steps`: a linear rise, then a fall.

    With w warm-up steps the rates are peak/w, 2 peak/w, ..., peak, and after them, from the peak:
    - cosine: peak (1 + cos(pi t)) / 2, with t from 0 to below 1 (Loshchilov and Hutter 2017, arXiv 1608.03983,
      without restarts);
    - exponential: peak f^t for the final fraction f, with t from 0 to 1 at the last step.
    """
    warmup_steps = round(config.warmup_fraction * num_steps)
    if step < warmup_steps:
        return config.learning_rate * (step + 1) / warmup_steps
    num_falling = num_steps - warmup_steps
    if config.schedule == "exponential":
        progress = (step - warmup_steps) / max(1, num_falling - 1)
        return float(config.learning_rate * config.final_rate_fraction**progress)
    progress = (step - warmup_steps) / num_falling
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
