"""The network: one encoder a modality, their fusion, the clip's embedding, and the heads."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.aggregators import AGGREGATORS
from models.batching import TEXT, Batch
from models.config import NetworkConfig
from models.errors import DataError
from models.fusion import FUSIONS, drop_modalities
from models.heads import CategoryHead, TagHead
from models.masking import MaskedBatchNorm, masked_mean


@dataclass(frozen=True)
class Outputs:
    """What the network says about a batch.

    Attributes:
        category_logits: `(B, K)`; None when there are no categories.
        tag_logits: `(B, C)`; None when there are no tags.
        embedding: `(B, E)`, not normalised.
    """

    category_logits: Tensor | None
    tag_logits: Tensor | None
    embedding: Tensor


class VideoNetwork(nn.Module):
    """Aggregators over the modalities, fusion, a dense layer, the embedding, and up to two heads.

    Args:
        config: Sizes and names.
        modality_dims: Modality -> width of its features, in the order in which they are fused. `audio`,
            `text` and `cover` have settings of their own; every other name is encoded like `frames`.
        num_categories: 0 leaves the category head out.
        num_tags: 0 leaves the tag head out.
    """

    def __init__(
        self, config: NetworkConfig, modality_dims: Mapping[str, int], num_categories: int, num_tags: int
    ) -> None:
        super().__init__()
        if not modality_dims:
            raise DataError("a network was asked for without any modality: give at least one")
        self.config = config
        self.modality_dims = dict(modality_dims)
        self.encoders = nn.ModuleList(
            ModalityEncoder(name, width, config) for name, width in self.modality_dims.items()
        )
        widths = [encoder.output_dim for encoder in self._encoders()]
        self.fusion = FUSIONS[config.fusion](widths, reduction=config.se_reduction)
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.Linear(self.fusion.output_dim, config.hidden_width)
        self.embed = nn.Linear(config.hidden_width, config.embedding_width)
        self.category_head = CategoryHead(config.embedding_width, num_categories) if num_categories else None
        self.tag_head = TagHead(config.embedding_width, num_tags) if num_tags else None

    def forward(self, batch: Batch) -> Outputs:
        """Logits and embedding of each clip of `batch`, whose modalities are those of the network."""
        present = torch.stack([batch.masks[name].any(dim=1) for name in self.modality_dims], dim=1)  # (B, M)
        used = drop_modalities(present, self.config.modality_dropout) if self.training else present
        vectors = [
            encoder(batch.features[name], batch.masks[name], used[:, column])
            for column, (name, encoder) in enumerate(zip(self.modality_dims, self.encoders, strict=True))
        ]
        fused = self.dropout(self.fusion(vectors))
        hidden = self.dropout(functional.gelu(self.hidden(fused)))
        embedding = self.embed(hidden)
        return Outputs(
            category_logits=None if self.category_head is None else self.category_head(embedding),
            tag_logits=None if self.tag_head is None else self.tag_head(embedding),
            embedding=embedding,
        )

    def _encoders(self) -> list["ModalityEncoder"]:
        return [encoder for encoder in self.encoders if isinstance(encoder, ModalityEncoder)]


class ModalityEncoder(nn.Module):
    """One modality: features standardised, aggregated, normalised; or a learned vector when it is missing.

    The features are standardised each by itself over the clips, not within a step, since the level of a step
    (the loudness of a log-mel window, say) is information.
    """

    def __init__(self, name: str, input_dim: int, config: NetworkConfig) -> None:
        super().__init__()
        self.standardise = MaskedBatchNorm(input_dim, affine=False, momentum=None)
        self.reduce = nn.Linear(input_dim, config.text_width) if name == TEXT else nn.Identity()
        self.aggregate: nn.Module
        if name == "cover":
            self.aggregate = Dense(input_dim, config.cover_width)
        else:
            aggregator = AGGREGATORS[aggregator_name(name, config)]
            step_width = config.text_width if name == TEXT else input_dim
            self.aggregate = aggregator.from_config(step_width, config)
        self.output_dim = int(self.aggregate.output_dim)
        self.normalise = nn.LayerNorm(self.output_dim)
        self.missing = nn.Parameter(torch.zeros(self.output_dim))

    def forward(self, features: Tensor, mask: Tensor, used: Tensor) -> Tensor:
        """`(B, output_dim)` from features `(B, T, D)`, mask `(B, T)` and `used` `(B,)`, False = missing."""
        steps = self.reduce(self.standardise(features, mask))
        vector = self.normalise(self.aggregate(steps, mask))
        return torch.where(used.unsqueeze(1), vector, self.missing)


class Dense(nn.Module):
    """A dense layer over the mean of the steps: for a modality that has one step, such as the cover."""

    def __init__(self, input_dim: int, output_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, output_dim)
        self.output_dim = output_dim

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """`(B, output_dim)`."""
        return functional.relu(self.linear(masked_mean(features, mask)))


def aggregator_name(modality: str, config: NetworkConfig) -> str:
    """The aggregator that `config` names for a sequence modality."""
    own = {"audio": config.audio_aggregator, TEXT: config.text_aggregator}
    return own.get(modality, config.frames_aggregator)
