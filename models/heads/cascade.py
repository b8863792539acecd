"""The category first; the tags also read its hidden layer and probabilities.

A chain of two classifiers, as in Read et al. 2009, "Classifier Chains for Multi-label Classification", with
soft links.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.heads.base import Heads
from models.heads.logits import HeadOutputs, Logits
from models.tag_heads.base import LinearTags, TagHeadMaker


class Cascade(Heads):
    """A hidden layer and the category's logits; the tag head reads ``[embedding, hidden, probabilities]``.

    The loss of the tags trains the shared hidden layer, but not the category's logits: the probabilities are
    detached, so that they remain an estimate of the category and do not become a further channel of the tags.
    Without categories the tag head reads the embedding alone.

    Args:
        input_dim: Width of the embedding.
        num_categories: K; 0 leaves the category out.
        num_tags: C; 0 leaves the tags out.
        width: Width of the hidden layer.
        make_tag_head: Makes the tag head.
    """

    def __init__(
        self,
        input_dim: int,
        num_categories: int,
        num_tags: int,
        *,
        width: int = 128,
        make_tag_head: TagHeadMaker = LinearTags,
    ) -> None:
        super().__init__()
        self.category = _CategoryBranch(input_dim, num_categories, width) if num_categories else None
        read_dim = input_dim + width + num_categories if num_categories else input_dim
        self.tags = make_tag_head(read_dim, num_tags) if num_tags else None

    def forward(self, embedding: Tensor) -> HeadOutputs:
        """Return the logits of embeddings ``(B, E)``, without branches."""
        read, category_logits = [embedding], None
        if self.category is not None:
            hidden, category_logits = self.category(embedding)
            read += [hidden, torch.softmax(category_logits.detach(), dim=1)]
        tag_logits = None if self.tags is None else self.tags(torch.cat(read, dim=1))
        return HeadOutputs(Logits(category_logits, tag_logits))


class _CategoryBranch(nn.Module):
    def __init__(self, input_dim: int, num_categories: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(input_dim, width)
        self.logits = nn.Linear(width, num_categories)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden layer ``(B, width)`` and the logits ``(B, K)``."""
        hidden = functional.gelu(self.hidden(embedding))
        return hidden, self.logits(hidden)
