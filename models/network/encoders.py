"""One modality of a clip as one vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators import AGGREGATORS
from models.aggregators.mean import Mean
from models.config.network import NetworkConfig
from models.data.batching import COVER, TEXT
from models.data.masking import masked_mean


class ModalityEncoder(nn.Module):
    """Steps aggregated and normalised; a learned vector, or zeros, when the modality is missing.

    Args:
        name: Of the modality.
        input_dim: Width of its prepared steps.
        config: Names the aggregator and its sizes.
    """

    def __init__(self, name: str, input_dim: int, config: NetworkConfig) -> None:
        super().__init__()
        width = config.text_width if name == TEXT else 0
        self.reduce = nn.Linear(input_dim, width) if width else nn.Identity()
        self.aggregate: nn.Module
        if name == COVER:
            self.aggregate = Dense(input_dim, config.cover_width) if config.cover_width else Mean(input_dim)
        else:
            self.aggregate = AGGREGATORS[aggregator_name(name, config)].from_config(width or input_dim, config)
        self.output_dim = int(self.aggregate.output_dim)
        self.normalise = nn.LayerNorm(self.output_dim)
        self.missing = nn.Parameter(torch.zeros(self.output_dim)) if config.missing == "learned" else None

    def forward(self, steps: Tensor, mask: Tensor, present: Tensor) -> Tensor:
        """`(B, output_dim)` from steps `(B, T, D)`, mask `(B, T)` and `present` `(B,)`, False = missing."""
        vector: Tensor = self.normalise(self.aggregate(self.reduce(steps), mask))
        if self.missing is None:
            return vector * present.unsqueeze(1)
        return torch.where(present.unsqueeze(1), vector, self.missing)


class Dense(nn.Module):
    """A dense layer over the mean of the steps: for a modality that has one step, such as the cover."""

    def __init__(self, input_dim: int, output_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, output_dim)
        self.output_dim = output_dim

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, output_dim)`."""
        return functional.relu(self.linear(masked_mean(features, mask)))


def aggregator_name(modality: str, config: NetworkConfig) -> str:
    """The aggregator that `config` names for a sequence modality."""
    own = {"audio": config.audio_aggregator, TEXT: config.text_aggregator}
    return own.get(modality, config.frames_aggregator)
