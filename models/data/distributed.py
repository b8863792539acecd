"""Several processes that share the batches of one training: sums and messages between them.

A process that was not started by torchrun is alone, and all of this does nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = TypeVar("Value")


@dataclass(frozen=True)
class BatchSlice:
    """Which clips of every batch are this process's own: one in ``num_processes``, from number ``rank`` on."""

    rank: int = 0
    num_processes: int = 1


# The share of a process that is alone.
WHOLE_BATCH = BatchSlice()


def is_shared() -> bool:
    """Whether this process shares its batches with others."""
    return torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def own_slice() -> BatchSlice:
    """Which clips of every batch are this process's own."""
    return BatchSlice(torch.distributed.get_rank(), torch.distributed.get_world_size()) if is_shared() else WHOLE_BATCH


def all_reduce_sum(values: Tensor) -> Tensor:
    """The sum of ``values``, which have one shape everywhere, over all processes; gradients flow back to each."""
    if not is_shared():
        return values
    total: Tensor = _Sum.apply(values)
    return total


class _Sum(torch.autograd.Function):
    """A sum over processes: what each process's part changes, it changes for all, so gradients are summed too."""

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:  # noqa: ARG004 - the signature of a function of autograd
        return _summed(values)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # noqa: ARG004 - as above
        return _summed(gradient)


def _summed(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(total)
    return total


def all_reduce_scalar(value: float) -> float:
    """The sum of a number over all processes."""
    if not is_shared():
        return value
    # In double precision, wherever the network is: gloo sums on the CPU.
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    holder = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(holder)
    return float(holder)


def broadcast(value: Value) -> Value:
    """What the first process holds, in every process."""
    if not is_shared():
        return value
    holder = [value]
    torch.distributed.broadcast_object_list(holder, src=0)
    return holder[0]


def num_gpus() -> int:
    """How many GPUs torch can use here."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@contextmanager
def process_group(device: str) -> Iterator[torch.device]:
    """Inside, the processes that torchrun started know each other; yields the device of this one.

    Args:
        device: As ``TrainConfig.device``: with ``cpu``, or where there is no GPU, all compute on the CPU.
    """
    use_cuda = device != "cpu" and num_gpus() > 0
    torch.distributed.init_process_group("nccl" if use_cuda else "gloo")
    try:
        rank = torch.distributed.get_rank()
        if use_cuda:
            torch.cuda.set_device(rank)
        yield torch.device("cuda", rank) if use_cuda else torch.device("cpu")
        # Whoever leaves while another is still at work takes their connections with it.
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
