from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from features.backbones.runtime import runner as runtime
from features.backbones.runtime.openvino_runner import ISA_LIMITS
from features.backbones.runtime.runner import load_runner, outputs, worst_cosine
from features.backbones.runtime.torch_runner import TorchRunner
from features.base.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

CPU = "cpu"


class Small(nn.Module):
    """Two layers: ``(B, 3, H, W)`` to ``(B, 6)``."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.convolution = nn.Conv2d(3, 6, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        convolved: torch.Tensor = self.convolution(images)
        return convolved.relu().mean(dim=(2, 3))


class Frozen(Small):
    """Leaves torch on its way, so that a trace remembers the answer to one input for ever."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(images.numpy().mean(axis=(2, 3)))


class Unconvertible(Small):
    """Uses an operation that OpenVINO does not know."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means: torch.Tensor = torch.special.bessel_j0(images).mean(dim=(2, 3))
        return means


class Broken(Small):
    """Has weights that are not finite."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.convolution.weight.fill_(float("nan"))


def _examples() -> list[tuple[npt.NDArray[Any], ...]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((count, 3, 8, 8)).astype(np.float32),) for count in (2, 3)]


def _plain(network: nn.Module, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with torch.inference_mode():
        output: npt.NDArray[Any] = network(torch.from_numpy(images)).numpy()
    return output


@pytest.mark.usefixtures("f32_openvino")
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_each_runtime_gives_what_torch_gives_for_any_batch(name: str) -> None:
    if name == "openvino":
        pytest.importorskip("openvino", reason="the runtime under test")
    runner = load_runner(Small(), _examples(), device=CPU, runtime=name, num_threads=1)
    assert runner.name == f"{name} {'float32' if name == 'torch' else 'f32'} on cpu"
    for count in (1, 5):
        images = np.random.default_rng(count).standard_normal((count, 3, 8, 8)).astype(np.float32)
        output = runner.start(images)()
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, _plain(Small(), images), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("f32_openvino")
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_batches_in_flight_come_back_in_order(name: str) -> None:
    if name == "openvino":
        pytest.importorskip("openvino", reason="the runtime under test")
    runner = load_runner(Small(), _examples(), device=CPU, runtime=name, num_threads=2, batch_size=4)
    rng = np.random.default_rng(1)
    batches = [rng.standard_normal((4, 3, 8, 8)).astype(np.float32) for _ in range(7)]
    found = list(outputs(runner, [(images,) for images in batches]))
    assert len(found) == 7
    for images, output in zip(batches, found, strict=True):
        np.testing.assert_allclose(output, _plain(Small(), images), rtol=1e-4, atol=1e-5)


def test_a_runtime_that_is_wrong_for_full_batches_only_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(TorchRunner):
        def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], npt.NDArray[np.float32]]:
            output = super().start(*inputs)()
            output[4:] = output[:1]
            return lambda: output

    monkeypatch.setattr(runtime, "TorchRunner", Forgetful)
    assert load_runner(Small(), _examples(), device=CPU, runtime="torch", batch_size=4).max_in_flight == 1
    with pytest.raises(ToolError, match=r"torch float32 on cpu drifts from plain torch: cosine .* is below 0.999"):
        load_runner(Small(), _examples(), device=CPU, runtime="torch", batch_size=5)


def test_an_output_is_kept_when_the_next_one_comes() -> None:
    pytest.importorskip("openvino", reason="re-uses its buffers")
    runner = load_runner(Small(), _examples(), device=CPU, runtime="openvino", num_threads=1)
    first = runner.start(np.ones((2, 3, 8, 8), np.float32))()
    before = first.copy()
    runner.start(np.zeros((2, 3, 8, 8), np.float32))()
    np.testing.assert_array_equal(first, before)


@pytest.mark.usefixtures("f32_openvino")
@pytest.mark.parametrize(
    ("network", "reason"), [(Frozen, "drifts from plain torch|gives shape"), (Unconvertible, "cannot convert")]
)
def test_a_runtime_that_fails_is_refused(
    network: type[nn.Module], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino", reason="the runtime under test")
    with pytest.raises(ToolError, match=reason):
        load_runner(network(), _examples(), device=CPU, runtime="openvino", num_threads=1)
    caplog.clear()
    with caplog.at_level(logging.INFO, "features.backbones.runtime.runner"):
        runner = load_runner(network(), _examples(), device=CPU, runtime="auto", num_threads=1)
    assert runner.name == "torch float32 on cpu"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.records[0].getMessage().startswith("OpenVINO f32 is not used: ")
    assert caplog.records[1].getMessage() == "network runs on torch float32 on cpu"


def test_a_missing_runtime_is_named_or_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ToolError, match=r"OpenVINO is not installed .*: pip install 'short-video-pipeline\[fast\]'"):
        load_runner(Small(), _examples(), device=CPU, runtime="openvino", num_threads=1)
    assert load_runner(Small(), _examples(), device=CPU, runtime="auto", num_threads=1).name == "torch float32 on cpu"
    assert "OpenVINO is not installed" in caplog.text


def test_a_smaller_number_type_that_drifts_gives_way_to_f32(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rough(TorchRunner):
        def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], npt.NDArray[np.float32]]:
            output = super().start(*inputs)()
            output[:, 0] += 1.0
            return lambda: output

    def make(network: nn.Module, _: object, precision: str, *__: object) -> TorchRunner:
        runner = (Rough if precision == "bf16" else TorchRunner)(network, torch.device(CPU))
        runner.name = f"openvino {precision} on cpu"
        return runner

    monkeypatch.setattr(runtime, "openvino_precisions", lambda: ("bf16", "f32"))
    monkeypatch.setattr(runtime, "openvino_runner", make)
    assert (
        load_runner(Small(), _examples(), device=CPU, runtime="openvino", num_threads=1).name == "openvino f32 on cpu"
    )


@pytest.mark.parametrize("limit", ISA_LIMITS)
def test_openvino_is_not_used_where_the_instructions_are_limited(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    # It would end this process.
    monkeypatch.setenv(limit, "AVX2")
    assert load_runner(Small(), _examples(), device=CPU, runtime="auto", num_threads=1).name == "torch float32 on cpu"
    with pytest.raises(
        ToolError, match=rf"^OpenVINO does not work under {limit}=AVX2: unset it, or set runtime to torch(; |$)"
    ):
        load_runner(Small(), _examples(), device=CPU, runtime="openvino", num_threads=1)


def test_a_network_that_is_not_finite_anyway_is_run() -> None:
    runner = load_runner(Broken(), _examples(), device=CPU, runtime="torch")
    assert np.isnan(runner.start(*_examples()[0])()).all()


def test_autocast_gives_float32() -> None:
    runner = TorchRunner(Small().eval().requires_grad_(requires_grad=False), torch.device(CPU), torch.bfloat16)
    (images,) = _examples()[0]
    output = runner.start(images)()
    assert runner.name == "torch bfloat16 on cpu"
    assert output.dtype == np.float32
    assert 0.999 <= worst_cosine(_plain(Small(), images), output) < 1.0


@pytest.mark.parametrize(
    ("expected", "got", "cosine"),
    [
        ([[3.0, 4.0]], [[3.0, 4.0]], 1.0),
        ([[3.0, 4.0]], [[4.0, 3.0]], 24 / 25),
        ([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], 0.0),
        ([[0.0, 0.0], [1.0, 1.0]], [[5.0, 0.0], [1.0, 1.0]], 1.0),
        ([[np.nan, 0.0]], [[1.0, 2.0]], 1.0),
        ([[1.0, 0.0]], [[np.inf, 0.0]], -1.0),
        ([[1.0, 0.0]], [[0.0, 0.0]], -1.0),
    ],
)
def test_the_worst_cosine_is_taken_over_rows_that_say_something(
    expected: list[list[float]], got: list[list[float]], cosine: float
) -> None:
    assert worst_cosine(np.array(expected), np.array(got)) == pytest.approx(cosine)


def test_openvino_is_imported_without_its_telemetry() -> None:
    pytest.importorskip("openvino", reason="the package under test")
    code = (
        "import sys\n"
        "from features.backbones.runtime.openvino_runner import openvino_precisions\n"
        "print('f32' in openvino_precisions(), 'openvino' in sys.modules)\n"
        "print(any(name.startswith('openvino_telemetry') for name in sys.modules))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert printed.split() == ["True", "True", "False"]
