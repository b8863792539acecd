"""What goes in and out of every module of a network, and what it computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.data.batching import Batch
from models.heads.logits import HeadOutputs, Outputs
from models.network.network import VideoNetwork
from models.structure.counting import make_counter
from models.structure.shapes import Shape


@dataclass
class Calls:
    """What was seen of one module in a forward pass.

    Attributes:
        inputs: Shapes of the tensors of numbers that went into its first call.
        masks: Shapes of the bool tensors that went in.
        outputs: Shapes of the tensors of numbers that came out.
        flops: Floating point operations of all its calls.
    """

    inputs: tuple[Shape, ...] = ()
    masks: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    flops: int = 0


def probe(network: VideoNetwork, batch: Batch) -> dict[str, Calls]:
    """Path of every module -> what was seen of it in one forward pass over `batch`, both on the CPU."""
    watch = _Watch()
    handles: list[torch.utils.hooks.RemovableHandle] = []
    for path, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(partial(watch.before, path), with_kwargs=True))
        handles.append(module.register_forward_hook(partial(watch.after, path)))
    try:
        with torch.no_grad(), watch.counter:
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {path: watch.calls.get(path, Calls()) for path, _ in network.named_modules()}


@dataclass
class _Watch:
    """Hooks of all modules, and what they saw.

    Attributes:
        calls: Path -> what was seen.
        counter: Counts the operations.
        started_at: The reading at the start of each call that is going on, innermost last.
    """

    calls: dict[str, Calls] = field(default_factory=dict)
    counter: FlopCounterMode = field(default_factory=make_counter)
    started_at: list[int] = field(default_factory=list)

    def before(self, path: str, _: nn.Module, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        """A call of the module begins."""
        self.started_at.append(self._reading())
        if path not in self.calls:
            tensors = _tensors([*arguments, *named.values()])
            self.calls[path] = Calls(_shapes(tensors, masks=False), _shapes(tensors, masks=True))

    def after(self, path: str, _: nn.Module, __: tuple[object, ...], output: object) -> None:
        """A call of the module has ended."""
        calls = self.calls[path]
        calls.flops += self._reading() - self.started_at.pop()
        calls.outputs = calls.outputs or _shapes(_tensors(output), masks=False)

    def _reading(self) -> int:
        return int(self.counter.get_total_flops())


def _shapes(tensors: Sequence[Tensor], *, masks: bool) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors if (tensor.dtype == torch.bool) == masks)


def _tensors(value: object) -> list[Tensor]:
    """Every tensor inside, in order: of sequences, mappings and dataclasses, to any depth.

    Of a network's and of its heads' outputs only those that count: what is for the loss alone is left out.
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
