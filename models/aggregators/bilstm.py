"""A bidirectional LSTM whose states are pooled by attention.

Graves and Schmidhuber 2005 (bidirectional LSTM); Zhou et al. 2016, "Attention-Based Bidirectional Long
Short-Term Memory Networks for Relation Classification", section 3.3 (the pooling).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from models.aggregators.base import Aggregator
from models.data.masking import compact, masked_softmax


class BiLstm(Aggregator):
    """One layer in both directions over the valid steps, then their attention-weighted mean.

    Each direction is an LSTM of its own that reads padding only after the last valid step, where it has no influence
    any more. (A packed sequence is 1.7 times slower on a CPU, and cannot contain empty rows.)
    """

    order_aware = True

    def __init__(self, input_dim: int, *, width: int = 64) -> None:
        super().__init__(input_dim)
        self.forwards = nn.LSTM(input_dim, width, batch_first=True)
        self.backwards = nn.LSTM(input_dim, width, batch_first=True)
        # No bias: a softmax over the steps would cancel it.
        self.attend = nn.Linear(2 * width, 1, bias=False)
        self.output_dim = 2 * width

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, 2 * width)``, zeros for a row without a valid step."""
        packed, front = compact(features, mask)
        ahead = _states(self.forwards, packed)
        behind = _states(self.backwards, _reverse(packed, front))
        states = torch.cat([ahead, _reverse(behind, front)], dim=2)  # (B, L, 2 * width)
        weights = masked_softmax(self.attend(torch.tanh(states)).squeeze(-1), front)
        return torch.einsum("bt,btd->bd", weights, states)


def _states(lstm: nn.LSTM, steps: Tensor) -> Tensor:
    """Return the LSTM's states ``(B, L, width)``, in float32 where autocast asks for an LSTM that torch lacks."""
    kind = steps.device.type
    states: Tensor
    if not torch.is_autocast_enabled(kind) or has_bfloat16_lstm(kind):
        states, _ = lstm(steps)
        return states
    with torch.autocast(kind, enabled=False):
        states, _ = lstm(steps.float())
    return states


@functools.cache
def has_bfloat16_lstm(kind: str) -> bool:
    """Return whether an LSTM can be trained in bfloat16 on devices of a kind, ``cpu`` or ``cuda``.

    oneDNN has none for a CPU with AVX2 and no more, though it has every other product in bfloat16. A tiny LSTM is
    tried once, because no flag of the processor answers the question.
    """
    # The trial must not change the random state, nor depend on the caller's grad mode.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), torch.enable_grad():
        lstm = nn.LSTM(1, 1, batch_first=True).to(kind)
        try:
            with torch.autocast(kind, torch.bfloat16):
                states, _ = lstm(torch.zeros(1, 1, 1, device=kind))
            states.sum().backward()
        except RuntimeError:
            return False
    return True


def _reverse(steps: Tensor, front: Tensor) -> Tensor:
    """Return each row's valid steps, which are at its front, from last to first; the rest is arbitrary."""
    position = torch.arange(steps.shape[1], device=steps.device)
    index = (front.sum(dim=1, keepdim=True) - 1 - position).clamp(min=0)
    return steps.gather(1, index.unsqueeze(-1).expand_as(steps))
