"""The hidden states of one layer of any text model of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from features.base.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_LAYER = -1


class HiddenStates(nn.Module):
    """``(B, L)`` token ids and mask to ``(B, L, D)`` hidden states, zero where the mask is 0.

    Args:
        encoder: A model of transformers that takes token ids and a mask.
        layer: 0 is what goes into the first layer, n what comes out of the n-th, as transformers' ``hidden_states``
            has them; -1 is its ``last_hidden_state``, after the final normalisation where there is one, and -2, -3,
            ... count backwards from there.
    """

    def __init__(self, encoder: nn.Module, layer: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the hidden states."""
        hidden: torch.Tensor
        if self.layer == LAST_LAYER:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        else:
            hidden = all_hidden_states(self.encoder, input_ids, attention_mask)[self.layer]
        return hidden.masked_fill(attention_mask.unsqueeze(-1) == 0, 0.0)


def all_hidden_states(
    encoder: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> Sequence[torch.Tensor]:
    """Return the hidden states of every layer, each ``(B, L, D)``; the first is what goes into the first layer."""
    states: Sequence[torch.Tensor] = encoder(
        input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
    ).hidden_states
    return states


def network_up_to(encoder: nn.Module, layer: int, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> nn.Module:
    """Return the network that gives the hidden states of ``layer``, without the layers that it does not need.

    Args:
        encoder: The network; layers may be removed from it.
        layer: As ``HiddenStates`` takes it.
        input_ids: ``(B, L)`` an example; layers are taken away only if its hidden states stay the same.
        attention_mask: ``(B, L)`` its mask.

    Raises:
        SettingError: The encoder has no such layer.
    """
    if layer == LAST_LAYER:
        return HiddenStates(encoder, layer)
    with torch.inference_mode():
        states = all_hidden_states(encoder, input_ids, attention_mask)
        num_layers = len(states) - 1
        if not -num_layers - 1 <= layer <= num_layers:
            raise SettingError(
                f"layer {layer} is not in {type(encoder).__name__}, which has {num_layers} layers: set it to 0 (token "
                f"embeddings) to {num_layers}, or to -1 (the last) to {-num_layers - 1}"
            )
        position = layer % len(states)
        network = HiddenStates(encoder, position)
        # One layer more than needed, for some models put their final normalisation on whichever layer is last.
        _shorten(network, num_layers, position + 1, states[position], (input_ids, attention_mask))
    return network


def _shorten(
    network: HiddenStates,
    num_layers: int,
    keep: int,
    expected: torch.Tensor,
    example: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Take away the layers from ``keep`` on, unless the example then gives anything else than ``expected``."""
    stacks = [part for part in network.modules() if isinstance(part, nn.ModuleList) and len(part) == num_layers]
    if keep >= num_layers or len(stacks) != 1:
        return
    (stack,) = stacks
    removed = list(stack[keep:])
    del stack[keep:]
    try:
        same = torch.equal(all_hidden_states(network.encoder, *example)[network.layer], expected)
    except (IndexError, AttributeError, RuntimeError, ValueError):
        same = False
    if not same:
        stack.extend(removed)
