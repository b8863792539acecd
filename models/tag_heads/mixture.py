"""A mixture of experts for each tag.

Jordan and Jacobs 1994, "Hierarchical Mixtures of Experts and the EM Algorithm"; as a classifier of videos
Abu-El-Haija et al. 2016, "YouTube-8M", arXiv 1609.08675, section 5. A tag's probability is the sum over its
experts of gate * sigmoid(expert). The gates are a softmax over the experts and one more state, a dummy expert
whose probability is 0: it allows a tag to be absent whatever the experts' outputs are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.tag_heads.base import TagHead


class MixtureTags(TagHead):
    """The logit of each tag's mixture.

    Args:
        input_dim: Width of the input.
        num_tags: C.
        num_experts: Experts of each tag, the dummy one not counted.
    """

    def __init__(self, input_dim: int, num_tags: int, *, num_experts: int = 2) -> None:
        super().__init__()
        self.num_tags = num_tags
        self.experts = nn.Linear(input_dim, num_tags * num_experts)
        self.gates = nn.Linear(input_dim, num_tags * (num_experts + 1))

    def forward(self, vector: Tensor) -> Tensor:
        """Return ``(B, C)`` logits."""
        experts = self.experts(vector).unflatten(1, (self.num_tags, -1))  # (B, C, experts)
        gates = self.gates(vector).unflatten(1, (self.num_tags, -1))  # (B, C, experts + 1)
        return mixture_logits(experts, gates)


def mixture_logits(experts: Tensor, gates: Tensor) -> Tensor:
    """Return the logit of a mixture's probability, in logarithms so that no probability rounds to 0 or 1.

    Args:
        experts: ``(..., K)`` logits of the experts.
        gates: ``(..., K + 1)`` logits of the gates, the dummy expert's last.

    Returns:
        ``(...)``.
    """
    log_gates = functional.log_softmax(gates, dim=-1)
    log_yes = torch.logsumexp(log_gates[..., :-1] + functional.logsigmoid(experts), dim=-1)
    # The probability of the dummy expert is 0.
    log_no_each = functional.pad(functional.logsigmoid(-experts), (0, 1))  # (..., K + 1)
    log_no = torch.logsumexp(log_gates + log_no_each, dim=-1)
    return log_yes - log_no
