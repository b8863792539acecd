"""The interface of all heads, and the plainest ones: category and tags each read the embedding."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from models.heads.logits import HeadOutputs, Logits
from models.tag_heads.base import LinearTags, TagHeadMaker


class Heads(nn.Module, ABC):
    """A module from embeddings to logits: of one category of K, and of any number of C tags."""

    @abstractmethod
    def forward(self, embedding: Tensor) -> HeadOutputs:
        """Return the logits of embeddings ``(B, E)``."""


class Independent(Heads):
    """A linear layer for the category, and a tag head."""

    def __init__(
        self, input_dim: int, num_categories: int, num_tags: int, *, make_tag_head: TagHeadMaker = LinearTags
    ) -> None:
        super().__init__()
        self.category = nn.Linear(input_dim, num_categories) if num_categories else None
        self.tags = make_tag_head(input_dim, num_tags) if num_tags else None

    def forward(self, embedding: Tensor) -> HeadOutputs:
        """Return the logits of embeddings ``(B, E)``, without branches."""
        logits = Logits(
            category_logits=None if self.category is None else self.category(embedding),
            tag_logits=None if self.tags is None else self.tags(embedding),
        )
        return HeadOutputs(logits)
