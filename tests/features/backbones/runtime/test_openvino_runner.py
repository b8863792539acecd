from __future__ import annotations

import ctypes
import gc
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch import nn

from features.backbones.extractor.clip_inputs import ClipInput
from features.backbones.extractor.extraction import extract_shard
from features.backbones.extractor.extractor import PROVENANCE_KEYS, StepLabels, embed_clips, one_step
from features.backbones.extractor.streaming import BatchSettings, Item, Piece
from features.backbones.runtime.openvino_runner import (
    ROWS_PER_REQUEST,
    OpenVinoRunner,
    openvino_precisions,
    openvino_runner,
)
from features.backbones.runtime.runner import outputs
from features.base.errors import ShardError, ToolError
from features.base.outcomes import Outcome
from features.formats.hdf5_shard import ShardReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from features.formats.clip_data import ClipFeatures, Float32

DIM = 4


class FakeModel:
    """Works like a compiled model: a request gives ``DIM`` copies of a row's first number, doubled.

    Attributes:
        requests: Every request that was made.
        num_started: Batches so far.
        fails_at: The batch that fails, counted from 0.
    """

    def __init__(self, fails_at: int = -1) -> None:
        self.requests: list[FakeRequest] = []
        self.num_started = 0
        self.fails_at = fails_at

    def create_infer_request(self) -> FakeRequest:
        self.requests.append(FakeRequest(self))
        return self.requests[-1]


class FakeRequest:
    """Writes its output when it is waited for, into memory that it uses again."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model
        self._memory = np.zeros((0, DIM), np.float32)
        self._rows: npt.NDArray[Any] | None = None
        self._fails = False
        self.latency = 1000.0

    def start_async(self, inputs: list[npt.NDArray[Any]], *, share_inputs: bool) -> None:
        assert share_inputs
        assert self._rows is None, "started while it works"
        self._rows = inputs[0]
        self._fails = self._model.num_started == self._model.fails_at
        self._model.num_started += 1

    def wait(self) -> None:
        assert self._rows is not None
        if self._fails:
            raise RuntimeError("Exception from src/inference.cpp:210:\ncould not execute a primitive")
        if len(self._memory) != len(self._rows):
            self._memory = np.zeros((len(self._rows), DIM), np.float32)
        self._memory[:] = 2 * self._rows[:, :1]
        self._rows = None

    def get_output_tensor(self, index: int) -> Any:  # noqa: ANN401 - a tensor, as far as it is looked at
        assert index == 0

        class Tensor:
            data = self._memory

        return Tensor()


def _batch(first: float) -> npt.NDArray[np.float32]:
    return np.array([[first, 0.0], [first + 0.5, 0.0]], np.float32)


def test_results_belong_to_their_batches_and_requests_are_used_again() -> None:
    model = FakeModel()
    runner = OpenVinoRunner(model, "f32", 2)
    found = list(outputs(runner, [(_batch(number),) for number in range(9)]))
    assert [rows[:, 0].tolist() for rows in found] == [[2 * number, 2 * number + 1] for number in range(9)]
    assert len(model.requests) == 3


def test_a_batch_is_cut_into_requests_and_put_together_again() -> None:
    model = FakeModel()
    rows = np.arange(22, dtype=np.float32).reshape(11, 2)
    assert OpenVinoRunner(model, "f32", 1).start(rows)()[:, 0].tolist() == (2 * rows[:, 0]).tolist()
    assert len(model.requests) == -(-11 // ROWS_PER_REQUEST) == 3


def test_an_array_in_another_order_is_handed_over_in_rows() -> None:
    columns = np.asfortranarray(_batch(3.0))
    assert OpenVinoRunner(FakeModel(), "f32", 1).start(columns)()[:, 0].tolist() == [6.0, 7.0]


class Doubled:
    """One step for each number of a clip."""

    dim = DIM

    def __init__(self, model: FakeModel) -> None:
        self._runner = OpenVinoRunner(model, "f32", 2)
        self.provenance: Mapping[str, str] = dict.fromkeys(PROVENANCE_KEYS, "fake")
        self.network_seconds = 0.0

    def extract(self, clips: Iterable[list[float] | None]) -> Iterator[ClipFeatures]:
        return embed_clips(clips, _pieces, self._runner, DIM, BatchSettings(2, 1))


def _pieces(clip: list[float]) -> Iterator[Piece[StepLabels, Float32]]:
    for number in clip:
        yield partial(_items, number)


def _items(number: float) -> list[Item[StepLabels]]:
    return [one_step(np.array([number, 0.0], np.float32), time_seconds=0.0)]


def test_a_failure_half_way_is_one_error_and_leaves_no_shard(tmp_path: Path) -> None:
    clips = [
        ClipInput(Outcome(f"c{number}", "ok"), [float(number)] * 3, digest=bytes([number]) * 32) for number in range(10)
    ]
    path = tmp_path / "shard-00000.h5"
    with pytest.raises(
        ToolError,
        match=r"^openvino f32 on cpu failed on a batch \(Exception from .* could not execute a primitive\); "
        r"set runtime to torch$",
    ):
        extract_shard(clips, Doubled(FakeModel(fails_at=7)), path, {"modality": "frames"})
    with pytest.raises(ShardError):
        _ = ShardReader(path).clip_ids
    whole = extract_shard(clips, Doubled(FakeModel()), path, {"modality": "frames"})
    assert len(whole.outcomes) == len(ShardReader(path)) == 10


def test_time_counts_once_for_requests_that_run_at_the_same_time() -> None:
    runner = OpenVinoRunner(FakeModel(), "f32", 2)
    list(outputs(runner, [(_batch(number),) for number in range(9)]))
    # Nine requests of a second each, all started within a fraction of one.
    assert 1.0 <= runner.busy.seconds < 2.0


class _Stack(ctypes.Structure):
    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def _signal_stack() -> tuple[int | None, int]:
    stack = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack.address, stack.size


@pytest.mark.skipif(sys.platform != "linux", reason="signal stacks are read as Linux lays them out")
def test_networks_leave_the_signal_stack_of_their_thread_alone() -> None:
    pytest.importorskip("openvino")
    before = _signal_stack()
    examples = [(np.zeros((1, 3), np.float32),)]
    runners = [openvino_runner(nn.Linear(3, 2).eval(), examples, "f32", 1) for _ in range(2)]
    assert _signal_stack() == before
    # In the order in which they were made.
    while runners:
        del runners[0]
        gc.collect()
        assert _signal_stack() == before
    openvino_precisions()
    assert _signal_stack() == before
