"""The interface of all heads, and the plainest ones: category and tags each read the embedding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from models.heads.logits import HeadOutputs, Logits
from models.tag_heads import TAG_HEADS
from models.tag_heads.base import LinearTags, TagHeadMaker

if TYPE_CHECKING:
    from models.config.network import NetworkConfig


class Heads(nn.Module, ABC):
    """A module from embeddings to logits: of one category of K, and of any number of C tags."""

    @classmethod
    @abstractmethod
    def from_config(cls, input_dim: int, num_categories: int, num_tags: int, config: NetworkConfig) -> Heads:
        """Return the heads with the sizes and the tag head that ``config`` gives them.

        Args:
            input_dim: Width of the embedding.
            num_categories: K; 0 leaves the category out.
            num_tags: C; 0 leaves the tags out.
            config: Sizes and names.
        """

    @abstractmethod
    def forward(self, embedding: Tensor) -> HeadOutputs:
        """Return the logits of embeddings ``(B, E)``."""


def tag_head_maker(config: NetworkConfig) -> TagHeadMaker:
    """Return what makes tag heads as ``config.tag_head`` names them, with the sizes of ``config``."""
    return partial(TAG_HEADS[config.tag_head].from_config, config=config)


class Independent(Heads):
    """A linear layer for the category, and a tag head."""

    def __init__(
        self, input_dim: int, num_categories: int, num_tags: int, *, make_tag_head: TagHeadMaker = LinearTags
    ) -> None:
        super().__init__()
        self.category = nn.Linear(input_dim, num_categories) if num_categories else None
        self.tags = make_tag_head(input_dim, num_tags) if num_tags else None

    @classmethod
    def from_config(cls, input_dim: int, num_categories: int, num_tags: int, config: NetworkConfig) -> Independent:
        """Return the heads with the tag head of ``config``."""
        return cls(input_dim, num_categories, num_tags, make_tag_head=tag_head_maker(config))

    def forward(self, embedding: Tensor) -> HeadOutputs:
        """Return the logits of embeddings ``(B, E)``, without branches."""
        logits = Logits(
            category_logits=None if self.category is None else self.category(embedding),
            tag_logits=None if self.tags is None else self.tags(embedding),
        )
        return HeadOutputs(logits)
