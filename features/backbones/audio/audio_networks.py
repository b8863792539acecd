"""Models of sound with what makes one embedding a window of their output."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class SharedSpace(nn.Module):
    """``(B, 1 or 4, frames, bands)`` spectra to ``(B, D)`` embeddings in the space of the text tower."""

    # Any: transformers' models have no common type.
    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Return the embeddings, of length 1."""
        is_longer = torch.zeros((spectra.shape[0], 1), dtype=torch.bool)
        features = self.model.get_audio_features(input_features=spectra, is_longer=is_longer)
        # Up to transformers 4 a tensor, from 5 on an output whose pooler_output is that tensor.
        tensor: torch.Tensor = getattr(features, "pooler_output", features)
        return tensor


class PooledSound(nn.Module):
    """``(B, ...)`` of one input to the ``(B, D)`` pooler output."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        tensor: torch.Tensor = self.model(**{self.name: values}).pooler_output
        return tensor


class MeanOverSound(nn.Module):
    """Inputs and ``(B, L)`` weights, 1 where a step holds sound and else 0, to the ``(B, D)`` mean of those steps."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        weights = arrays[-1][:, :, None]  # (B, L, 1)
        hidden = self.model(**dict(zip(self.names, arrays, strict=False))).last_hidden_state  # (B, L, D)
        mean: torch.Tensor = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return mean
