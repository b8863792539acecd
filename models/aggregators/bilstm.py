"""A bidirectional LSTM whose states are pooled by attention.

Graves and Schmidhuber 2005 (bidirectional LSTM); Zhou et al. 2016, "Attention-Based Bidirectional Long
Short-Term Memory Networks for Relation Classification", section 3.3 (the pooling).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.aggregators.base import Aggregator
from models.config import NetworkConfig
from models.masking import compact, masked_softmax


class BiLstm(Aggregator):
    """One layer in both directions over the valid steps, then their attention-weighted mean."""

    order_aware = True

    def __init__(self, input_dim: int, *, width: int = 64) -> None:
        super().__init__(input_dim)
        self.lstm = nn.LSTM(input_dim, width, batch_first=True, bidirectional=True)
        # No bias: a softmax over the steps would cancel it.
        self.attend = nn.Linear(2 * width, 1, bias=False)
        self.output_dim = 2 * width

    @classmethod
    def from_config(cls, input_dim: int, config: NetworkConfig) -> "BiLstm":
        """The aggregator with the `bilstm_` sizes of `config`."""
        return cls(input_dim, width=config.bilstm_width)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, 2 * width)`, zeros for a row without a valid step."""
        packed, front = compact(features, mask)
        # A packed sequence has no empty row: one zero step stands in, and is masked out below.
        lengths = front.sum(dim=1).clamp(min=1).cpu()
        sequence = pack_padded_sequence(packed, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(sequence)[0], batch_first=True)  # (B, L, 2 * width)
        scores = self.attend(torch.tanh(states)).squeeze(-1)
        weights = masked_softmax(scores, front)
        return torch.einsum("bt,btd->bd", weights, states)
