"""Two levels, the category above the tags, each predicted by a local and by a global branch.

HMCN-F of Wehrmann, Cerri, Barros 2018, "Hierarchical Multi-Label Classification Networks" (ICML), section 3.1.
Three things differ. The category is one of K, so its probabilities are a softmax where the paper has sigmoids
only. Categories and tags are two label spaces without parents and children, so there is no penalty for
hierarchical violations. And there are no batch norm and no dropout inside: the embedding has had its dropout.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.heads.base import Heads, Independent
from models.heads.logits import HeadOutputs, Logits
from models.tag_heads.base import LinearTags, TagHeadMaker

if TYPE_CHECKING:
    from collections.abc import Callable


class Hierarchical(Heads):
    """The global flow A1 = relu(V1 x), A2 = relu(V2 [A1, x]), and the heads that read from it.

    The global branch reads category and tags from A2. The local branch reads the category from relu(U1 A1) and the
    tags from relu(U2 A2). The prediction is the mean of the two branches' probabilities (beta = 0.5 of the paper);
    the loss is applied to each branch. Without categories or without tags there is one level, A1.

    Args:
        input_dim: Width of the embedding.
        num_categories: K; 0 leaves the category out.
        num_tags: C; 0 leaves the tags out.
        width: Width of each layer of the flow and of each local layer.
        make_tag_head: Makes the tag heads of both branches.
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
        self.first = nn.Linear(input_dim, width)
        self.second = nn.Linear(width + input_dim, width) if num_categories and num_tags else None
        self.overall = Independent(width, num_categories, num_tags, make_tag_head=make_tag_head)
        self.category = _local(width, nn.Linear(width, num_categories)) if num_categories else None
        self.tags = _local(width, make_tag_head(width, num_tags)) if num_tags else None

    def forward(self, embedding: Tensor) -> HeadOutputs:
        """Return the blended logits of embeddings ``(B, E)``, and the branches ``(local, global)``."""
        upper = functional.relu(self.first(embedding))
        lower = upper
        if self.second is not None:
            lower = functional.relu(self.second(torch.cat([upper, embedding], dim=1)))
        local_logits = Logits(
            category_logits=None if self.category is None else self.category(upper),
            tag_logits=None if self.tags is None else self.tags(lower),
        )
        global_logits: Logits = self.overall(lower).logits
        return HeadOutputs(blend_logits(local_logits, global_logits), (local_logits, global_logits))


def _local(width: int, readout: nn.Module) -> nn.Sequential:
    """Return a level's own layer followed by its readout."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), readout)


def blend_logits(first: Logits, second: Logits) -> Logits:
    """Return logits whose softmax or sigmoid is half that of ``first`` and half that of ``second``.

    Args:
        first: Logits of B clips.
        second: Logits of the same clips and heads.
    """
    return Logits(
        category_logits=_blend(blend_softmax, first.category_logits, second.category_logits),
        tag_logits=_blend(blend_sigmoid, first.tag_logits, second.tag_logits),
    )


def blend_softmax(first: Tensor, second: Tensor) -> Tensor:
    """Return ``(B, K)`` logarithms of the mean of two softmaxes, from their logits ``(B, K)``."""
    log_sum = torch.logaddexp(functional.log_softmax(first, dim=1), functional.log_softmax(second, dim=1))
    return log_sum - math.log(2)


def blend_sigmoid(first: Tensor, second: Tensor) -> Tensor:
    """Return ``(B, C)`` logits of the mean of two sigmoids, from their logits ``(B, C)``."""
    log_yes = torch.logaddexp(functional.logsigmoid(first), functional.logsigmoid(second))
    log_no = torch.logaddexp(functional.logsigmoid(-first), functional.logsigmoid(-second))
    # Both lack the same log 2.
    return log_yes - log_no


def _blend(blend: Callable[[Tensor, Tensor], Tensor], first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else blend(first, second)
