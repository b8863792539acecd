"""How a frozen network is run fast: through OpenVINO or torch, checked against plain torch first.

On a CPU a network runs through OpenVINO where that is installed and can convert it, in bfloat16 where the
processor has it and in float32 otherwise; else through torch with channels_last. On a GPU it runs through
torch with channels_last and autocast. Each way is compared with plain float32 torch on a few inputs first,
and one that drifts is refused.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from features.errors import SettingError, ToolError
from features.runtime_openvino import openvino_precisions, openvino_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

logger = logging.getLogger(__name__)

Float32 = npt.NDArray[np.float32]
# Any: pictures are float32, token ids and masks int64.
Inputs: TypeAlias = tuple[npt.NDArray[Any], ...]

MIN_COSINE = 0.999
IMAGE_NDIM = 4


class Runner(Protocol):
    """A frozen network on its device: arrays in (first dimension = batch), float32 array out."""

    @property
    def name(self) -> str:
        """Runtime, number type and device in words."""
        ...

    def __call__(self, *inputs: npt.NDArray[Any]) -> Float32:
        """Return the network's output for one batch."""
        ...


@dataclass(frozen=True)
class RuntimeSettings:
    """Which runtime to use.

    Attributes:
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto``, ``torch`` or ``openvino``.
        num_threads: Threads on a CPU; ``None`` leaves it to the runtime.
    """

    device: str = "auto"
    runtime: str = "auto"
    num_threads: int | None = None


def load_runner(network: nn.Module, examples: Sequence[Inputs], settings: RuntimeSettings) -> Runner:
    """Return the fastest runner for ``network`` that agrees with plain torch on the examples.

    ``network`` is taken over: it is set to evaluation, and may be moved or changed in layout. It takes the
    arrays of one example as tensors and returns one float tensor; ``examples`` differ in every dimension that
    may differ later (the batch, the length of a text).

    Raises:
        SettingError: The device does not exist.
        ToolError: ``runtime`` is ``openvino``, and it is not installed, cannot convert the network, or
        drifts; or
            no runtime agrees with plain torch.
    """
    network.eval().requires_grad_(requires_grad=False)
    device = resolve_device(settings.device)
    expected = [_plain_torch(network, inputs) for inputs in examples]
    reasons = []
    for label, make in _candidates(network, examples, device, settings):
        try:
            runner = make()
            _check(runner, examples, expected)
        except ToolError as error:
            reasons.append(str(error))
            logger.warning("%s is not used: %s", label, error)
            continue
        logger.info("network runs on %s", runner.name)
        return runner
    raise ToolError("; ".join(reasons))


def resolve_device(device: str) -> torch.device:
    """Return the device that a setting means.

    Raises:
        SettingError: It names a GPU that torch does not see.
    """
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    found = torch.device(device)
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise SettingError(f"device {device!r}: torch sees {torch.cuda.device_count()} GPUs; set device to auto or cpu")
    return found


def worst_cosine(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> float:
    """Return the smallest cosine between rows (last dimension) of two arrays of one shape.

    Rows that are zero or not finite in ``expected`` say nothing and are left out; 1.0 when no row is left. A
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


class TorchRunner:
    """Plain torch: channels_last for pictures; autocast to a 16-bit type where ``autocast`` names one."""

    def __init__(self, network: nn.Module, device: torch.device, autocast: torch.dtype | None = None) -> None:
        self._network = network.to(device).to(memory_format=torch.channels_last)
        self._device = device
        self._autocast = autocast
        kind = str(autocast or torch.float32).removeprefix("torch.")
        self.name = f"torch {kind} on {device}"

    def __call__(self, *inputs: npt.NDArray[Any]) -> Float32:
        """Return the network's output for one batch."""
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=self._autocast, enabled=self._autocast is not None),
        ):
            output: torch.Tensor = self._network(*(self._place(array) for array in inputs))
        result: Float32 = output.float().cpu().numpy()
        return result

    def _place(self, array: npt.NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(array).to(self._device)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == IMAGE_NDIM else tensor


def _candidates(
    network: nn.Module, examples: Sequence[Inputs], device: torch.device, settings: RuntimeSettings
) -> list[tuple[str, Callable[[], Runner]]]:
    """Return the ways to run, best first; the last one of ``auto`` is plain torch."""
    if device.type == "cuda":
        half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return [
            (f"torch on {device} with autocast", partial(TorchRunner, network, device, half)),
            (f"torch on {device}", partial(TorchRunner, network, device)),
        ]
    ways: list[tuple[str, Callable[[], Runner]]] = []
    if settings.runtime in {"auto", "openvino"}:
        ways += [
            (
                f"OpenVINO {precision}",
                partial(openvino_runner, network, examples, precision, settings.num_threads),
            )
            for precision in openvino_precisions()
        ]
    if settings.runtime in {"auto", "torch"}:
        if settings.num_threads is not None:
            torch.set_num_threads(settings.num_threads)
        ways.append(("torch", partial(TorchRunner, network, device)))
    return ways


def _plain_torch(network: nn.Module, inputs: Inputs) -> Float32:
    with torch.inference_mode():
        output: torch.Tensor = network(*(torch.from_numpy(array) for array in inputs))
    result: Float32 = output.float().numpy()
    return result


def _check(runner: Runner, examples: Sequence[Inputs], expected: Sequence[Float32]) -> None:
    for inputs, wanted in zip(examples, expected, strict=True):
        got = runner(*inputs)
        if got.shape != wanted.shape:
            raise ToolError(f"{runner.name} gives shape {got.shape}, plain torch {wanted.shape}: set runtime to torch")
        cosine = worst_cosine(wanted, got)
        if cosine < MIN_COSINE:
            raise ToolError(
                f"{runner.name} drifts from plain torch: cosine {cosine:.6f} is below {MIN_COSINE}; "
                "set runtime to torch"
            )
