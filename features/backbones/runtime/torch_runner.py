"""Runs a network through torch: on a CPU in a thread of its own, on a GPU with transfers beside the work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from features.base.errors import ToolError
from features.base.parallel import BusyTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

Float32 = npt.NDArray[np.float32]

PLANES_NDIM = 4
VOLUMES_NDIM = 5
# While one batch is computed the next one's arrays travel.
GPU_BATCHES_IN_FLIGHT = 2


class TorchRunner:
    """Plain torch in a thread of its own, so that the thread that starts a batch can continue with other work.

    Weights and float planes ``(B, C, h, w)`` use channels_last; the network runs under autocast to ``autocast`` if
    given.
    """

    def __init__(self, network: nn.Module, device: torch.device, autocast: torch.dtype | None = None) -> None:
        self._network = with_channels_last(network.to(device))
        self._device = device
        self._autocast = autocast
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        kind = str(autocast or torch.float32).removeprefix("torch.")
        self.name = f"torch {kind} on {device}"
        self.max_in_flight = 1
        self.busy = BusyTime()

    def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], Float32]:
        """Begin with one batch, and return what waits for its output."""
        return self._thread.submit(self._run, inputs).result

    def _run(self, inputs: tuple[npt.NDArray[Any], ...]) -> Float32:
        with self.busy.running():
            tensors = [laid_out(torch.from_numpy(array).to(self._device)) for array in inputs]
            result: Float32 = forward(self._network, tensors, self._autocast).cpu().numpy()
        return result


class CudaRunner:
    """Torch on a GPU: pinned host memory, copies on a stream of their own, results copied back while work continues."""

    def __init__(self, network: nn.Module, device: torch.device, autocast: torch.dtype | None = None) -> None:
        self._network = with_channels_last(network.to(device))
        self._device = device
        self._autocast = autocast
        # Any: torch's streams and events have no types.
        self._cuda: Any = torch.cuda
        self._copying = self._cuda.Stream(device)
        self._computing = self._cuda.Stream(device)
        kind = str(autocast or torch.float32).removeprefix("torch.")
        self.name = f"torch {kind} on {device}"
        self.max_in_flight = GPU_BATCHES_IN_FLIGHT
        self.busy = BusyTime()
        # The weights were copied on the current stream.
        self._cuda.synchronize(device)

    def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], Float32]:
        """Begin with one batch, and return what waits for its output."""
        with self._cuda.stream(self._copying):
            # Pinned memory goes back to torch's cache, which waits for the copy before it is used again.
            tensors = [torch.from_numpy(array).pin_memory().to(self._device, non_blocking=True) for array in inputs]
        self._computing.wait_stream(self._copying)
        with self._cuda.stream(self._computing):
            begun = self._cuda.Event(enable_timing=True)
            begun.record(self._computing)
            for tensor in tensors:
                # Else the copying stream would take the memory for the next batch while this one is read.
                tensor.record_stream(self._computing)
            output = forward(self._network, [laid_out(tensor) for tensor in tensors], self._autocast)
            host = torch.empty(output.shape, dtype=torch.float32, pin_memory=True)
            host.copy_(output, non_blocking=True)
            done = self._cuda.Event(enable_timing=True)
            done.record(self._computing)

        def wait() -> Float32:
            done.synchronize()
            # Batches follow one another on the computing stream. Elapsed time is in milliseconds.
            self.busy.seconds += begun.elapsed_time(done) / 1000
            result: Float32 = host.numpy()
            return result

        return wait


def forward(network: nn.Module, tensors: list[torch.Tensor], autocast: torch.dtype | None) -> torch.Tensor:
    """Return the network's output as float32, on the device of the tensors.

    Raises:
        ToolError: The batch does not fit into the memory.
    """
    device = tensors[0].device.type
    try:
        with torch.inference_mode(), torch.autocast(device, dtype=autocast, enabled=autocast is not None):
            output: torch.Tensor = network(*tensors)
    except torch.cuda.OutOfMemoryError as error:
        raise ToolError(
            f"{tensors[0].device} has too little memory for a batch of {len(tensors[0])}: set batch_size lower"
        ) from error
    return output.float()


def with_channels_last(network: nn.Module) -> nn.Module:
    """Return the network, its weights over planes and over volumes with the channels last in memory.

    ``Module.to`` takes one format for all weights, and refuses that of planes where there are volumes.
    """
    formats = {PLANES_NDIM: torch.channels_last, VOLUMES_NDIM: torch.channels_last_3d}
    for weights in network.parameters():
        if weights.ndim in formats:
            weights.data = weights.data.contiguous(memory_format=formats[weights.ndim])
    return network


def laid_out(tensor: torch.Tensor) -> torch.Tensor:
    """Return planes ``(B, C, h, w)`` of floats in channels_last; anything else as it is.

    Pictures ``(B, h, w, 3)`` of bytes are in that order in memory already.
    """
    if tensor.ndim == PLANES_NDIM and tensor.is_floating_point():
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor
