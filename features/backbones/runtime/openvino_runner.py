"""Runs a torch network on a CPU through OpenVINO."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import sys
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.jit._trace import TracerWarning

from features.base.errors import ToolError, one_line
from features.base.parallel import BusyTime, num_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from torch import nn

Float32 = npt.NDArray[np.float32]

# Requests that are computed at a time, each by its share of the threads. More would cost memory.
MAX_STREAMS = 4
# EfficientNet-Lite0 on one thread: 20.3 ms a picture in requests of 16, 15.6 of 4, 15.4 of 1 (two runs each on a
# shared machine); the bigger ConvNeXt-tiny does not care.
ROWS_PER_REQUEST = 4
# Environment variables that limit the processor's instructions for oneDNN.
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


class OpenVinoRunner:
    """A compiled model: arrays in, float32 array out, several batches at a time.

    A batch is cut into requests of ``ROWS_PER_REQUEST`` rows, which several threads can work on, and what
    they compute on the way stays in the caches of the processor.

    Args:
        compiled: The model.
        precision: Its number type, for the name.
        max_in_flight: Batches that may be started before the oldest one's result is asked for.
    """

    # Any: the package openvino has no types.
    def __init__(self, compiled: Any, precision: str, max_in_flight: int) -> None:  # noqa: ANN401
        self._compiled = compiled
        self._free: list[Any] = []
        self.name = f"openvino {precision} on cpu"
        self.max_in_flight = max_in_flight
        self.busy = BusyTime()

    def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], Float32]:
        """Begin with one batch, and return what waits for its output.

        Raises:
            ToolError: OpenVINO fails, here or when the output is waited for.
        """
        # The requests read these very arrays: what is returned keeps them alive.
        arrays = [np.ascontiguousarray(array) for array in inputs]
        requests, starts = [], []
        with self._failures_named():
            try:
                for start in range(0, len(arrays[0]), ROWS_PER_REQUEST):
                    request = self._free.pop() if self._free else self._compiled.create_infer_request()
                    part = [array[start : start + ROWS_PER_REQUEST] for array in arrays]
                    starts.append(time.perf_counter())
                    request.start_async(part, share_inputs=True)
                    requests.append(request)
            except Exception:
                # Those that were started still read the arrays.
                for request in requests:
                    request.wait()
                raise

        def wait() -> Float32:
            with self._failures_named():
                for request in requests:
                    request.wait()
                # A copy: the next batch is written to the same memory.
                rows = np.concatenate([request.get_output_tensor(0).data for request in requests])
            for started, request in zip(starts, requests, strict=True):
                # A request may have ended long before its result is asked for. Its latency is in milliseconds.
                self.busy.add(started, started + request.latency / 1000)
            arrays.clear()
            self._free.extend(requests)
            requests.clear()
            return rows.astype(np.float32, copy=False)

        return wait

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # A request raises errors of any type, plain Exception included.
            reason = one_line(error)[:300]
            raise ToolError(f"{self.name} failed on a batch ({reason}); set runtime to torch") from error


class _SignalStack(ctypes.Structure):
    """``stack_t`` of sigaltstack(2) on Linux."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give this thread back its alternate signal stack after a CPU plugin of OpenVINO was loaded.

    Each ``Core`` loads a plugin of its own, which replaces the signal stack of its thread, and at its end puts the one
    back that it found. Plugins end in any order, so that may be the stack of another one that has ended: memory that is
    gone. Python's signal handlers run on that stack, and the next signal, such as SIGTERM or the SIGALRM of a test's
    time limit, then ends the process by SIGSEGV. A plugin that does not find its own stack at its end leaves it alone.
    """
    if sys.platform != "linux":
        yield
        return
    libc, stack = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(stack))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(stack), None)


def openvino_precisions() -> tuple[str, ...]:
    """Return the number types to try on this processor, fastest first.

    Without the package the answer is ``("f32",)``, and ``openvino_runner`` raises with what is missing.
    """
    try:
        openvino = import_openvino()
    except ToolError:
        return ("f32",)
    with kept_signal_stack():
        capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "f32") if "BF16" in capabilities else ("f32",)


def openvino_runner(
    network: nn.Module,
    examples: Sequence[tuple[npt.NDArray[Any], ...]],
    precision: str,
    num_threads: int | None,
) -> OpenVinoRunner:
    """Return ``network`` converted and compiled for the CPU with ``precision`` ``f32`` or ``bf16``.

    Dimensions in which the examples differ stay open, the others are fixed.

    Raises:
        ToolError: OpenVINO cannot be used, or cannot convert the network.
    """
    openvino = import_openvino()
    num_threads = num_threads or num_cpus()
    num_streams = min(num_threads, MAX_STREAMS)
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": num_streams,
        "INFERENCE_NUM_THREADS": num_threads,
        # Other threads of this process decode and preprocess on the same CPUs.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        with _tracing_warnings_ignored(), _root_logger_kept(), torch.inference_mode():
            tensors = tuple(map(torch.from_numpy, examples[0]))
            model = openvino.convert_model(_traced(network, tensors), example_input=tensors)
            shapes = {}
            for port, arrays in zip(model.inputs, zip(*examples, strict=True), strict=True):
                sizes = zip(*(array.shape for array in arrays), strict=True)
                shapes[port] = openvino.PartialShape([size[0] if len(set(size)) == 1 else -1 for size in sizes])
            model.reshape(shapes)
        with kept_signal_stack():
            compiled = openvino.Core().compile_model(model, "CPU", options)
        return OpenVinoRunner(compiled, precision, num_streams)
    except Exception as error:
        # Conversion raises errors of any type, plain Exception included.
        reason = one_line(error)[:300]
        raise ToolError(f"OpenVINO cannot convert {type(network).__name__}: {reason}; set runtime to torch") from error


def _check_instructions() -> None:
    """Refuse OpenVINO where the environment limits the processor's instructions.

    A part of OpenVINO ignores the limit, and the parts then disagree about the kernels: the process can die.

    Raises:
        ToolError: They are limited.
    """
    for name in ISA_LIMITS:
        if limit := os.environ.get(name):
            raise ToolError(f"OpenVINO does not work under {name}={limit}: unset it, or set runtime to torch")


# Any: the package openvino has no types.
def _traced(network: nn.Module, tensors: tuple[torch.Tensor, ...]) -> Any:  # noqa: ANN401
    """Return the network as ``convert_model`` takes it, traced once.

    Left to itself, it traces a second time to compare the two: a third of the time that loading takes.
    """
    decoder = importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    return decoder.TorchScriptPythonDecoder(network, example_input=tensors, trace_kwargs={"check_trace": False})


def import_openvino() -> ModuleType:
    """Return the package, imported without its telemetry.

    That would call a server, and fork a process out of a thread to do so: the process may hang, and hold whatever
    pipe or file its parent had open.

    Raises:
        ToolError: It is not installed, or would end this process.
    """
    _check_instructions()
    name = "openvino_telemetry"
    before = sys.modules.get(name, ...)
    if "openvino" not in sys.modules:
        # None makes the import fail, and OpenVINO then takes its own stub instead.
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise ToolError(
            f"OpenVINO is not installed or does not start ({error}): "
            "pip install 'short-video-pipeline[fast]', or set runtime to torch"
        ) from error
    finally:
        if before is ...:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Undo what conversion does to the root logger: it sets level ERROR and adds filters and a handler."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:] = filters
        root.handlers[:] = handlers


@contextmanager
def _tracing_warnings_ignored() -> Iterator[None]:
    """Silence what tracing warns of for every network: that it is deprecated, and that sizes become constants.

    Sizes that matter are covered by comparing the result with plain torch on inputs of other sizes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)
        warnings.simplefilter("ignore", category=DeprecationWarning)
        warnings.simplefilter("ignore", category=UserWarning)
        warnings.simplefilter("ignore", category=TracerWarning)
        yield
