"""Context managers that make a run repeatable: torch's generators, threads and deterministic algorithms."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def seeded(seed: int, epoch: int, device: torch.device, *, rank: int = 0) -> Iterator[np.random.Generator]:
    """Seed torch's default generators from (``seed``, ``epoch``), and restore them afterwards.

    Yields:
        A numpy generator seeded from the same pair. Epoch 0 is for the first weights.
        Processes that share the batches draw the same numbers from it; torch's differ by ``rank``.
    """
    sequence = np.random.SeedSequence([seed, epoch])
    torch_seed = int(sequence.generate_state(rank + 1, np.uint64)[rank] >> np.uint64(1))
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(torch_seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(torch_seed)
        yield np.random.default_rng(sequence)


@contextmanager
def cpu_threads(num_threads: int) -> Iterator[None]:
    """Set torch's number of CPU threads, and restore it afterwards; 0 leaves the number as it is."""
    before = torch.get_num_threads()
    if num_threads:
        torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Make torch's results on a GPU the same to the last bit in every run; on a CPU they always are.

    cuBLAS needs its workspace setting in the environment before its first call.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    # An operation without a repeatable form warns instead of ending the run.
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)
