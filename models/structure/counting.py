"""A counter of floating point operations that also knows what torch gives to oneDNN on a CPU."""

import math

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = tuple[int, ...]


def make_counter() -> FlopCounterMode:
    """A counter of matrix products, convolutions and LSTMs, a multiplication and an addition being two operations.

    What is done unit by unit (norms, activations, softmax, sums, table look-ups) is not counted. Torch's own
    counter has no rule for two operations of oneDNN, which take over from a size on that depends on the machine:
    a large dense layer and a whole LSTM would count as nothing.
    """
    rules = {torch.ops.aten.mkldnn_linear: _dense, torch.ops.aten.mkldnn_rnn_layer: _lstm}
    return FlopCounterMode(display=False, custom_mapping=rules)


def _dense(rows: Shape, weight: Shape, *_: object, **__: object) -> int:
    """Each row is multiplied by every weight."""
    return 2 * math.prod(rows[:-1]) * math.prod(weight)


def _lstm(steps: Shape, input_weight: Shape, state_weight: Shape, *_: object, **__: object) -> int:
    """In each step of each row every weight is multiplied once; one direction of one layer."""
    return 2 * math.prod(steps[:-1]) * (math.prod(input_weight) + math.prod(state_weight))
