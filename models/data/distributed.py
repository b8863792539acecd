"""Collectives between the processes that share the batches of one training.

In a process that torchrun did not start, every function here is the identity.
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
    """The clips of every batch that one process works on: each ``num_processes``-th, from number ``rank`` on."""

    rank: int = 0
    num_processes: int = 1


# The slice of a single process.
WHOLE_BATCH = BatchSlice()


def is_shared() -> bool:
    """Return whether this process shares its batches with others."""
    return torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def own_slice() -> BatchSlice:
    """Return this process's slice of every batch."""
    return BatchSlice(torch.distributed.get_rank(), torch.distributed.get_world_size()) if is_shared() else WHOLE_BATCH


def all_reduce_sum(values: Tensor) -> Tensor:
    """Return the differentiable sum of ``values``, which have one shape everywhere, over all processes."""
    if not is_shared():
        return values
    total: Tensor = _Sum.apply(values)
    return total


class _Sum(torch.autograd.Function):
    """A sum over processes whose gradient is the sum of the gradients of all processes.

    ``torch.distributed.nn.functional.all_reduce`` computes the same, but is deprecated within the range of supported
    versions (torch 2.14 warns at each call), and its successor is private.
    """

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
    """Return the sum of a number over all processes."""
    if not is_shared():
        return value
    # In double precision, so that counts and losses stay exact; gloo sums on the CPU, NCCL on the GPU only.
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    holder = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(holder)
    return float(holder)


def broadcast(value: Value) -> Value:
    """Return the value of the first process in every process."""
    if not is_shared():
        return value
    holder = [value]
    torch.distributed.broadcast_object_list(holder, src=0)
    return holder[0]


def num_gpus() -> int:
    """Return the number of GPUs that torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@contextmanager
def process_group(device: str) -> Iterator[torch.device]:
    """Join the process group of torchrun for a while, and yield the device of this process.

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
        # A process that ends closes its connections, and another may still be in a collective.
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
