"""From a batch to one vector a modality: its steps prepared, then aggregated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.base.errors import DataError
from features.base.modalities import TEXT, has_steps
from models.aggregators.pooling import Mean
from models.data.masking import MaskedBatchNorm, masked_mean, zero_padding
from models.network.build import build_aggregator
from models.network.token_embedding import TextTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.config.network import NetworkConfig
    from models.data.batching import Batch


class StepPreparation(nn.Module):
    """Each modality's features standardised; for text also, or instead, the rows of a trained table.

    Each feature is standardised over the clips, not within a step: the level of a step, for instance the loudness
    of a log-mel window, is information.

    Attributes:
        output_dims: Modality -> width of its prepared steps.
    """

    def __init__(self, config: NetworkConfig, modality_dims: Mapping[str, int], num_tokens: int) -> None:
        super().__init__()
        self.output_dims = dict(modality_dims)
        has_table = TEXT in modality_dims and config.text_embedding != "frozen"
        self.table = TextTable(num_tokens, modality_dims[TEXT]) if has_table else None
        self.standardise = nn.ModuleDict(
            {
                name: MaskedBatchNorm(width, affine=False, momentum=None)
                for name, width in modality_dims.items()
                if not (name == TEXT and config.text_embedding == "trained")
            }
        )
        if has_table and config.text_embedding == "both":
            self.output_dims[TEXT] = 2 * modality_dims[TEXT]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return modality -> ``(B, T, D)``, zeros in the padding."""
        steps: dict[str, Tensor] = {}
        for name in self.output_dims:
            parts = []
            if name in self.standardise:
                parts.append(self.standardise[name](batch.features[name], batch.masks[name]))
            if name == TEXT and self.table is not None:
                if batch.token_ids is None:
                    raise DataError(
                        "the network looks up text tokens, but the clips have no token ids: extract text again"
                    )
                parts.append(zero_padding(self.table(batch.token_ids), batch.masks[name]))
            steps[name] = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return steps


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
        if not has_steps(name):
            self.aggregate = Dense(input_dim, config.cover_width) if config.cover_width else Mean(input_dim)
        else:
            self.aggregate = build_aggregator(config.aggregator_of(name), width or input_dim, config)
        self.output_dim = int(self.aggregate.output_dim)
        self.normalise = nn.LayerNorm(self.output_dim)
        self.missing = nn.Parameter(torch.zeros(self.output_dim)) if config.missing == "learned" else None

    def forward(self, steps: Tensor, mask: Tensor, present: Tensor) -> Tensor:
        """Return ``(B, output_dim)`` from ``(B, T, D)``, mask ``(B, T)`` and ``present`` ``(B,)``, False = missing."""
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
        """Return ``(B, output_dim)``."""
        return functional.relu(self.linear(masked_mean(features, mask)))
