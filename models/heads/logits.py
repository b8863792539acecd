"""Outputs of heads and networks for a batch of clips, and their probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Logits:
    """The logits of both heads.

    Attributes:
        category_logits: ``(B, K)``, of a softmax; None when there are no categories.
        tag_logits: ``(B, C)``, each of a sigmoid; None when there are no tags.
    """

    category_logits: Tensor | None
    tag_logits: Tensor | None


@dataclass(frozen=True)
class HeadOutputs:
    """Outputs of the heads for a batch of embeddings.

    Attributes:
        logits: The prediction.
        branches: Logits of the branches; if there are any, the loss is applied to them instead of ``logits``.
    """

    logits: Logits
    branches: tuple[Logits, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """Outputs of a network for a batch.

    Attributes:
        logits: The prediction.
        embedding: ``(B, E)``, not normalised.
        branches: Logits of the branches; if there are any, the loss is applied to them instead of ``logits``.
        modalities: Modality -> logits of its own heads; empty without such heads.
        present: ``(B, M)`` bool, True where the clip has the modality and it was not dropped; M in the order of
            the network's modalities.
        experts: Logits of each expert of a mixture; empty without a mixture.
    """

    logits: Logits
    embedding: Tensor
    branches: tuple[Logits, ...]
    modalities: dict[str, Logits]
    present: Tensor
    experts: tuple[Logits, ...]

    @property
    def category_logits(self) -> Tensor | None:
        """Return the category logits of the prediction, ``(B, K)``."""
        return self.logits.category_logits

    @property
    def tag_logits(self) -> Tensor | None:
        """Return the tag logits of the prediction, ``(B, C)``."""
        return self.logits.tag_logits


def category_probabilities(logits: Tensor) -> Tensor:
    """Return ``(B, K)`` in 0..1, each row adding up to 1."""
    return torch.softmax(logits.float(), dim=1)


def tag_probabilities(logits: Tensor) -> Tensor:
    """Return ``(B, C)`` in 0..1, each by itself."""
    return torch.sigmoid(logits.float())
