"""What makes a run repeatable, set for a while and put back: torch's generators and its number of threads."""

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


@contextmanager
def cpu_threads(num_threads: int) -> Iterator[None]:
    """Inside, torch computes with `num_threads` threads of the CPU; 0 leaves the number as it is."""
    before = torch.get_num_threads()
    if num_threads:
        torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
