"""How a frozen network is run fast: through OpenVINO or torch, checked against plain torch first.

On a CPU a network runs through OpenVINO where that is installed and can convert it, in bfloat16 where the
processor has it and in float32 otherwise; else through torch with channels_last. On a GPU it runs through
torch with channels_last and autocast. Batches are started, and their results asked for later, so that the
caller's thread has other work meanwhile. Each way is compared with plain float32 torch on a few inputs
first, and one that drifts is refused.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from features.backbones.runtime.openvino_runner import openvino_precisions, openvino_runner
from features.backbones.runtime.torch_runner import CudaRunner, TorchRunner, with_channels_last
from features.base.errors import ToolError
from features.base.machine import resolve_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import nn

    from features.base.parallel import BusyTime

logger = logging.getLogger(__name__)

Float32 = npt.NDArray[np.float32]
# Any: pictures are uint8 or float32, token ids and masks int64.
Inputs: TypeAlias = tuple[npt.NDArray[Any], ...]

MIN_COSINE = 0.999


class Runner(Protocol):
    """A frozen network on its device: arrays in (first dimension = batch), float32 array out."""

    @property
    def name(self) -> str:
        """Runtime, number type and device in words."""
        ...

    @property
    def max_in_flight(self) -> int:
        """Batches that may have been started before the oldest one's result is asked for."""
        ...

    @property
    def busy(self) -> BusyTime:
        """Wall time in which the network ran."""
        ...

    def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], Float32]:
        """Begin with one batch, and return what waits for the network's output; ask in the order of starting."""
        ...


def load_runner(
    network: nn.Module,
    examples: Sequence[Inputs],
    *,
    device: str = "auto",
    runtime: str = "auto",
    num_threads: int | None = None,
    batch_size: int | None = None,
) -> Runner:
    """Return the fastest runner for ``network`` that agrees with plain torch on the examples.

    Args:
        network: It is changed: set to evaluation, and perhaps moved or changed in layout. It takes the arrays of one
            example as tensors and returns one float tensor.
        examples: Inputs that differ in every dimension that may differ later (the batch, the length of a text).
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto``, ``torch`` or ``openvino``.
        num_threads: Threads on a CPU; ``None`` = one per CPU.
        batch_size: Rows of the batches to come: the check covers a full one; ``None`` = not known.

    Raises:
        SettingError: The device does not exist.
        ToolError: ``runtime`` is ``openvino``, and it is not installed, cannot convert the network, or
            drifts; or no runtime agrees with plain torch.
    """
    with_channels_last(network.eval().requires_grad_(requires_grad=False))
    where = resolve_device(device)
    batches = list(examples)
    with torch.inference_mode():
        expected: list[Float32] = [network(*map(torch.from_numpy, inputs)).float().numpy() for inputs in examples]
    if batch_size is not None:
        whole, wanted = _full_batch(examples, expected, batch_size)
        batches.append(whole)
        expected.append(wanted)
    reasons = []
    for label, make in _candidates(network, examples, where, runtime, num_threads):
        try:
            runner = make()
            _check(runner, batches, expected)
        except ToolError as error:
            reasons.append(str(error))
            logger.warning("%s is not used: %s", label, error)
            continue
        logger.info("network runs on %s", runner.name)
        return runner
    raise ToolError("; ".join(reasons))


def outputs(runner: Runner, batches: Iterable[Inputs]) -> Iterator[Float32]:
    """Yield the network's output for each batch, in order, with as many in flight as the runner takes."""
    started: deque[Callable[[], Float32]] = deque()
    for inputs in batches:
        started.append(runner.start(*inputs))
        if len(started) > runner.max_in_flight:
            yield started.popleft()()
    while started:
        yield started.popleft()()


def worst_cosine(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> float:
    """Return the smallest cosine between rows (last dimension) of two arrays of one shape.

    Rows that are zero or not finite in ``expected`` are left out; 1.0 when no row is left. A
    row of ``got`` that is zero or not finite counts as -1.
    """
    rows = expected.reshape(-1, expected.shape[-1]).astype(np.float64)
    others = got.reshape(-1, got.shape[-1]).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    if not usable.any():
        return 1.0
    rows, others, norms = rows[usable], others[usable], norms[usable]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (rows * others).sum(axis=1) / (norms * np.linalg.norm(others, axis=1))
    return float(np.where(np.isfinite(cosines), cosines, -1.0).min())


def _candidates(
    network: nn.Module, examples: Sequence[Inputs], device: torch.device, runtime: str, num_threads: int | None
) -> list[tuple[str, Callable[[], Runner]]]:
    """Return the ways to run, best first; the last one of ``auto`` is plain torch."""
    if device.type == "cuda":
        half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return [
            (f"torch on {device} with autocast", partial(CudaRunner, network, device, half)),
            (f"torch on {device}", partial(CudaRunner, network, device)),
        ]
    ways: list[tuple[str, Callable[[], Runner]]] = []
    if runtime in {"auto", "openvino"}:
        for precision in openvino_precisions():
            make = partial(openvino_runner, network, examples, precision, num_threads)
            ways.append((f"OpenVINO {precision}", make))
    if runtime in {"auto", "torch"}:
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        ways.append(("torch", partial(TorchRunner, network, device)))
    return ways


def _full_batch(examples: Sequence[Inputs], expected: Sequence[Float32], batch_size: int) -> tuple[Inputs, Float32]:
    """Return a batch of ``batch_size`` rows, and what it should give: the rows of the examples, over and over."""
    alike, outputs_of_them = [], []
    for inputs, output in zip(examples, expected, strict=True):
        # Examples of other lengths do not go into one batch.
        if all(one.shape[1:] == other.shape[1:] for one, other in zip(inputs, examples[0], strict=True)):
            alike.append(inputs)
            outputs_of_them.append(output)
    rows = np.concatenate(outputs_of_them)
    order = np.arange(batch_size) % len(rows)
    return tuple(np.concatenate(column)[order] for column in zip(*alike, strict=True)), rows[order]


def _check(runner: Runner, batches: Sequence[Inputs], expected: Sequence[Float32]) -> None:
    for got, wanted in zip(outputs(runner, batches), expected, strict=True):
        if got.shape != wanted.shape:
            raise ToolError(f"{runner.name} gives shape {got.shape}, plain torch {wanted.shape}: set runtime to torch")
        cosine = worst_cosine(wanted, got)
        if cosine < MIN_COSINE:
            raise ToolError(
                f"{runner.name} drifts from plain torch: cosine {cosine:.6f} is below {MIN_COSINE}; "
                "set runtime to torch"
            )
