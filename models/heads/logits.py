"""What a network answers about a batch of clips."""

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
    """What the heads make of a batch of embeddings.

    Attributes:
        answers: The answers that count.
        branches: Logits that the loss looks at in their stead, each by itself; empty where it looks at
            ``answers``.
    """

    logits: Logits
    branches: tuple[Logits, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """What a network says about a batch.

    Attributes:
        answers: The answers that count.
        embedding: ``(B, E)``, not normalised.
        branches: Logits that the loss looks at in the stead of ``answers``; empty where it looks at ``answers``.
        modalities: Modality -> answers of its own heads; empty without such heads.
        present: ``(B, M)`` bool, True where the clip has the modality and it was not hidden; M in the order of
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
        """``(B, K)`` of the answers that count."""
        return self.logits.category_logits

    @property
    def tag_logits(self) -> Tensor | None:
        """``(B, C)`` of the answers that count."""
        return self.logits.tag_logits


def category_probabilities(logits: Tensor) -> Tensor:
    """``(B, K)`` in 0..1, each row adding up to 1."""
    return torch.softmax(logits.float(), dim=1)


def tag_probabilities(logits: Tensor) -> Tensor:
    """``(B, C)`` in 0..1, each by itself."""
    return torch.sigmoid(logits.float())
