"""TextCNN and Bi-LSTM side by side: local phrases and the whole sentence."""

import torch
from torch import Tensor

from models.aggregators.base import Aggregator
from models.aggregators.bilstm import BiLstm
from models.aggregators.textcnn import TextCnn
from models.config import NetworkConfig


class TextCnnBiLstm(Aggregator):
    """The outputs of a TextCNN and a Bi-LSTM, concatenated."""

    order_aware = True

    def __init__(self, input_dim: int, *, num_channels: int = 32, width: int = 64) -> None:
        super().__init__(input_dim)
        self.textcnn = TextCnn(input_dim, num_channels=num_channels)
        self.bilstm = BiLstm(input_dim, width=width)
        self.output_dim = self.textcnn.output_dim + self.bilstm.output_dim

    @classmethod
    def from_config(cls, input_dim: int, config: NetworkConfig) -> "TextCnnBiLstm":
        """The aggregator with the `textcnn_` and `bilstm_` sizes of `config`."""
        return cls(input_dim, num_channels=config.textcnn_channels, width=config.bilstm_width)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, output_dim)`, zeros for a row without a valid step."""
        return torch.cat([self.textcnn(features, mask), self.bilstm(features, mask)], dim=1)
