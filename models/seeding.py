"""Randomness that depends on the seed and the epoch alone, and that leaves the caller's generators alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, epoch: int, device: torch.device) -> Iterator[np.random.Generator]:
    """Inside, torch's default generators are seeded from (`seed`, `epoch`); afterwards they are as before.

    Yields:
        A numpy generator seeded from the same pair. Epoch 0 stands for the making of the weights.
    """
    sequence = np.random.SeedSequence([seed, epoch])
    torch_seed = int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(torch_seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(torch_seed)
        yield np.random.default_rng(sequence)
