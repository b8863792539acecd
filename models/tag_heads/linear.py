"""One logistic regression a tag."""

from torch import Tensor, nn

from models.config.network import NetworkConfig
from models.tag_heads.base import TagHead


class LinearTags(TagHead):
    """Logits by one linear layer."""

    def __init__(self, input_dim: int, num_tags: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, num_tags)

    @classmethod
    def from_config(cls, input_dim: int, num_tags: int, config: NetworkConfig) -> "LinearTags":  # noqa: ARG003 - has no sizes
        """The linear layer, whatever `config` says."""
        return cls(input_dim, num_tags)

    def forward(self, vector: Tensor) -> Tensor:
        """`(B, C)` logits."""
        logits: Tensor = self.linear(vector)
        return logits
