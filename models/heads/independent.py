"""Category and tags each read the embedding."""

from torch import Tensor, nn

from models.config.network import NetworkConfig
from models.heads.base import Heads, tag_head_maker
from models.heads.logits import Answers, HeadOutputs
from models.tag_heads.base import TagHeadMaker
from models.tag_heads.linear import LinearTags


class Independent(Heads):
    """A linear layer for the category, and a tag head."""

    def __init__(
        self, input_dim: int, num_categories: int, num_tags: int, *, make_tag_head: TagHeadMaker = LinearTags
    ) -> None:
        super().__init__()
        self.category = nn.Linear(input_dim, num_categories) if num_categories else None
        self.tags = make_tag_head(input_dim, num_tags) if num_tags else None

    @classmethod
    def from_config(cls, input_dim: int, num_categories: int, num_tags: int, config: NetworkConfig) -> "Independent":
        """The heads with the tag head of `config`."""
        return cls(input_dim, num_categories, num_tags, make_tag_head=tag_head_maker(config))

    def forward(self, embedding: Tensor) -> HeadOutputs:
        """The answers about embeddings `(B, E)`; no branches."""
        answers = Answers(
            category_logits=None if self.category is None else self.category(embedding),
            tag_logits=None if self.tags is None else self.tags(embedding),
        )
        return HeadOutputs(answers)
