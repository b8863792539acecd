"""Records the shapes in and out of every module of a network, and its floating point operations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.heads.logits import HeadOutputs, Outputs

if TYPE_CHECKING:
    from models.data.batching import Batch
    from models.network.network import VideoNetwork

Shape = tuple[int, ...]


@dataclass
class Calls:
    """The record of one module in a forward pass.

    Attributes:
        inputs: Shapes of the number tensors that are arguments of its first call.
        masks: Shapes of the bool tensors among them.
        outputs: Shapes of the number tensors that it returns.
        flops: Floating point operations of all its calls.
    """

    inputs: tuple[Shape, ...] = ()
    masks: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    flops: int = 0


def probe(network: VideoNetwork, batch: Batch) -> dict[str, Calls]:
    """Return path -> record of every module in one forward pass over ``batch``, both on the CPU."""
    recorder = _Recorder()
    handles: list[torch.utils.hooks.RemovableHandle] = []
    for path, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(partial(recorder.before, path), with_kwargs=True))
        handles.append(module.register_forward_hook(partial(recorder.after, path)))
    try:
        with torch.no_grad(), recorder.counter:
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {path: recorder.calls.get(path, Calls()) for path, _ in network.named_modules()}


def _make_counter() -> FlopCounterMode:
    """Return a counter of matrix products, convolutions and LSTMs; a multiplication and an addition count as two.

    Elementwise operations (norms, activations, softmax, sums, table look-ups) are not counted. The counter of torch
    has no rule for two operations of oneDNN, which torch chooses above a size that depends on the machine: without
    the rules below a large dense layer and a whole LSTM would count as nothing.
    """
    rules = {torch.ops.aten.mkldnn_linear: _dense, torch.ops.aten.mkldnn_rnn_layer: _lstm}
    return FlopCounterMode(display=False, custom_mapping=rules)


def _dense(rows: Shape, weight: Shape, *_: object, **__: object) -> int:
    # Each row is multiplied by every weight.
    return 2 * math.prod(rows[:-1]) * math.prod(weight)


def _lstm(steps: Shape, input_weight: Shape, state_weight: Shape, *_: object, **__: object) -> int:
    # One direction of one layer: in each step of each row every weight is multiplied once.
    return 2 * math.prod(steps[:-1]) * (math.prod(input_weight) + math.prod(state_weight))


@dataclass
class _Recorder:
    """The hooks of all modules, and their records.

    Attributes:
        calls: Path -> record.
        counter: Counts the operations.
        started_at: The count at the start of each call in progress, innermost last.
    """

    calls: dict[str, Calls] = field(default_factory=dict)
    counter: FlopCounterMode = field(default_factory=_make_counter)
    started_at: list[int] = field(default_factory=list)

    def before(self, path: str, _: nn.Module, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        """Record the arguments of a call."""
        self.started_at.append(self._count())
        if path not in self.calls:
            tensors = _tensors([*arguments, *named.values()])
            self.calls[path] = Calls(_shapes(tensors, masks=False), _shapes(tensors, masks=True))

    def after(self, path: str, _: nn.Module, __: tuple[object, ...], output: object) -> None:
        """Record the result of a call."""
        calls = self.calls[path]
        calls.flops += self._count() - self.started_at.pop()
        calls.outputs = calls.outputs or _shapes(_tensors(output), masks=False)

    def _count(self) -> int:
        return int(self.counter.get_total_flops())


def _shapes(tensors: Sequence[Tensor], *, masks: bool) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors if (tensor.dtype == torch.bool) == masks)


def _tensors(value: object) -> list[Tensor]:
    """Return every tensor inside a value, in order: of sequences, mappings and dataclasses, to any depth.

    Of the outputs of a network and of its heads only the final ones are taken, not those for the loss alone.
    """
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Outputs):
        return _tensors([value.logits, value.embedding])
    if isinstance(value, HeadOutputs):
        return _tensors(value.logits)
    if isinstance(value, Mapping):
        return _tensors(list(value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [tensor for part in value for tensor in _tensors(part)]
    if is_dataclass(value):
        return _tensors([getattr(value, part.name) for part in fields(value)])
    return []


@dataclass(frozen=True)
class Passes:
    """The shapes of some tensors in three passes over a network.

    Attributes:
        once: With the clips as they are.
        more_clips: With more clips.
        more_steps: With more steps in each clip.
    """

    once: Sequence[Shape]
    more_clips: Sequence[Shape]
    more_steps: Sequence[Shape]


def shape_texts(passes: Passes) -> tuple[str, ...]:
    """Return shapes such as ``(B, T, 1280)``; equal neighbours become one, such as ``3 × (B, 10)``.

    B is an axis that grows with the clips, T one that grows with the steps. A width that happens to equal the number
    of clips stays a number.
    """
    texts = [_shape_text(*shapes) for shapes in zip(passes.once, passes.more_clips, passes.more_steps, strict=True)]
    counted = ((text, len(list(group))) for text, group in groupby(texts))
    return tuple(text if number == 1 else f"{number} × {text}" for text, number in counted)


def _shape_text(once: Shape, more_clips: Shape, more_steps: Shape) -> str:
    sizes = []
    for size, with_clips, with_steps in zip(once, more_clips, more_steps, strict=True):
        symbols = (["B"] if with_clips != size else []) + (["T"] if with_steps != size else [])
        sizes.append(" ".join(symbols) or str(size))
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
