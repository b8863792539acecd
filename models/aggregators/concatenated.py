"""Two aggregators over the same steps, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from models.aggregators.base import Aggregator
from models.aggregators.bilstm import BiLstm
from models.aggregators.nextvlad import NeXtVlad
from models.aggregators.textcnn import TextCnn
from models.aggregators.trn_centred import CentredTemporalRelations

if TYPE_CHECKING:
    from collections.abc import Sequence


class Joined(Aggregator):
    """The outputs of several aggregators, concatenated."""

    part_types: ClassVar[tuple[type[Aggregator], ...]]

    def __init__(self, input_dim: int, *, parts: Sequence[Aggregator] | None = None) -> None:
        super().__init__(input_dim)
        if parts is None:
            parts = [part_type(input_dim) for part_type in self.part_types]
        self.parts = nn.ModuleList(parts)
        self.output_dim = sum(part.output_dim for part in parts)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return ``(B, output_dim)``."""
        return torch.cat([part(features, mask) for part in self.parts], dim=1)


class TextCnnBiLstm(Joined):
    """Local phrases and the whole sentence."""

    order_aware = True
    part_types = (TextCnn, BiLstm)


class NeXtVladCentred(Joined):
    """The content of a clip, counted in clusters, and how it changes."""

    order_aware = True
    part_types = (NeXtVlad, CentredTemporalRelations)
