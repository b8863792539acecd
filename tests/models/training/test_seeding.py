from __future__ import annotations

import pytest
import torch

from models.training.seeding import cpu_threads, seeded

CPU = torch.device("cpu")


def test_seeding_repeats_and_leaves_the_callers_generators_alone() -> None:
    before = torch.random.get_rng_state()
    with seeded(1, 2, CPU) as generator:
        first = (torch.rand(3).tolist(), generator.random())
    assert torch.equal(torch.random.get_rng_state(), before)
    with seeded(1, 2, CPU) as generator:
        assert (torch.rand(3).tolist(), generator.random()) == first
    for seed, epoch in ((1, 3), (2, 2)):
        with seeded(seed, epoch, CPU) as generator:
            assert (torch.rand(3).tolist(), generator.random()) != first


def test_thread_count_is_put_back() -> None:
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(ValueError, match="inside"), cpu_threads(before + 1):
        raise ValueError("inside")
    assert torch.get_num_threads() == before
