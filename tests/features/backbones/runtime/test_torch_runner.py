from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from features.backbones.runtime.runner import outputs, worst_cosine
from features.backbones.runtime.torch_runner import CudaRunner, TorchRunner, laid_out
from features.base.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

CPU = torch.device("cpu")


class Bytes(nn.Module):
    """Pictures of bytes ``(B, h, w, 3)`` to ``(B, 5)``."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.convolution = nn.Conv2d(3, 5, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        planes: torch.Tensor = self.convolution(images.permute(0, 3, 1, 2).float() / 255.0)
        return planes.relu().mean(dim=(2, 3))


def _pictures(count: int) -> list[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (4, 9, 11, 3)).astype(np.uint8) for _ in range(count)]


def _expected(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    with torch.inference_mode():
        found: npt.NDArray[Any] = Bytes()(torch.from_numpy(pictures)).numpy()
    return found


def test_batches_of_bytes_come_back_in_order() -> None:
    batches = _pictures(5)
    runner = TorchRunner(Bytes().eval(), CPU)
    for output, pictures in zip(outputs(runner, [(batch,) for batch in batches]), batches, strict=True):
        np.testing.assert_allclose(output, _expected(pictures), rtol=1e-4, atol=1e-6)


def test_a_failure_is_raised_where_the_result_is_asked_for() -> None:
    wait = TorchRunner(Bytes().eval(), CPU).start(np.zeros((1, 2, 2, 3), np.uint8))
    with pytest.raises(RuntimeError, match=r"[Kk]ernel size"):
        wait()


def test_too_little_memory_names_the_setting() -> None:
    class Large(nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            raise torch.cuda.OutOfMemoryError("tried to allocate")

    with pytest.raises(ToolError, match="cpu has too little memory for a batch of 7: set batch_size lower"):
        TorchRunner(Large(), CPU).start(np.zeros((7, 2), np.float32))()


def test_only_planes_of_floats_change_their_layout() -> None:
    planes = torch.zeros(2, 3, 5, 7)
    assert laid_out(planes).is_contiguous(memory_format=torch.channels_last)
    for other in (torch.zeros(2, 5, 7, 3, dtype=torch.uint8), torch.zeros(2, 9, dtype=torch.int64), torch.zeros(2, 9)):
        assert laid_out(other) is other


class FakeCuda:
    """The streams and events of ``torch.cuda`` on a CPU: what is done, is written down."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._num_streams = 0

    def Stream(self, _device: torch.device) -> FakeStream:  # noqa: N802 - as in torch
        self._num_streams += 1
        return FakeStream(self.log, ["copying", "computing"][self._num_streams - 1])

    def Event(self, *, enable_timing: bool) -> FakeEvent:  # noqa: N802 - as in torch
        assert enable_timing
        return FakeEvent(self.log)

    @contextlib.contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self.log.append(f"on {stream.name}")
        yield

    def synchronize(self, _device: torch.device) -> None:
        self.log.append("synchronize")


class FakeStream:
    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name

    def wait_stream(self, other: FakeStream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")


class FakeEvent:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def record(self, stream: FakeStream) -> None:
        self.log.append(f"event on {stream.name}")

    def synchronize(self) -> None:
        self.log.append("waited")

    def elapsed_time(self, _end: FakeEvent) -> float:
        return 1500.0


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    monkeypatch.setattr("features.backbones.runtime.torch_runner.torch.cuda.Stream", fake.Stream)
    for name in ("Event", "stream", "synchronize"):
        monkeypatch.setattr(f"features.backbones.runtime.torch_runner.torch.cuda.{name}", getattr(fake, name))
    empty = torch.empty

    def unpinned(*shape: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:  # noqa: ANN401 - as torch
        if pin_memory:
            fake.log.append("pinned result")
        tensor: torch.Tensor = empty(*shape, **options)
        return tensor

    monkeypatch.setattr(torch, "empty", unpinned)

    def pinned(tensor: torch.Tensor) -> torch.Tensor:
        fake.log.append("pinned input")
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda _, stream: fake.log.append(f"kept for {stream.name}"))
    return fake


def test_a_gpu_works_while_arrays_travel(cuda: FakeCuda) -> None:
    """The order of the steps, on a CPU that stands in for the GPU."""
    runner = CudaRunner(Bytes().eval(), CPU, torch.bfloat16)
    assert cuda.log == ["synchronize"]
    cuda.log.clear()
    batches = _pictures(2)
    waits = [runner.start(batch) for batch in batches]
    started = [
        *("on copying", "pinned input", "computing waits for copying"),
        *("on computing", "event on computing", "kept for computing", "pinned result", "event on computing"),
    ]
    assert cuda.log == 2 * started
    for wait, pictures in zip(waits, batches, strict=True):
        output = wait()
        assert output.dtype == np.float32
        assert worst_cosine(_expected(pictures), output) >= 0.999
    assert cuda.log[-2:] == ["waited", "waited"]
    assert runner.busy.seconds == 3.0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_a_cpu_gives() -> None:
    batches = _pictures(8)
    runner = CudaRunner(Bytes().eval(), torch.device("cuda:0"), torch.bfloat16)
    found = list(outputs(runner, [(batch,) for batch in batches]))
    assert all(
        worst_cosine(_expected(pictures), output) >= 0.999 for pictures, output in zip(batches, found, strict=True)
    )
