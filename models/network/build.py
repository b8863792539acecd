"""Modules of the network by name, with the arguments that the settings give them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from features.base.settings import arguments_of
from models.aggregators import AGGREGATORS
from models.fusion import FUSIONS
from models.heads import HEADS
from models.tag_heads import TAG_HEADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.aggregators.base import Aggregator
    from models.aggregators.concatenated import Joined
    from models.config.network import NetworkConfig
    from models.fusion.base import Fusion
    from models.heads.base import Heads


def build_aggregator(name: str, input_dim: int, config: NetworkConfig) -> Aggregator:
    """Return an aggregator; the parts of one such as ``textcnn+bilstm`` have their own arguments."""
    parts = name.split("+")
    if len(parts) > 1:
        joined = cast("type[Joined]", AGGREGATORS[name])
        return joined(input_dim, parts=[build_aggregator(part, input_dim, config) for part in parts])
    return AGGREGATORS[name](input_dim, **arguments_of(config, name))


def build_fusion(input_dims: Sequence[int], config: NetworkConfig) -> Fusion:
    """Return the fusion of ``config`` for modality vectors of the given widths."""
    return FUSIONS[config.fusion](input_dims, **arguments_of(config, config.fusion))


def build_heads(name: str, input_dim: int, num_categories: int, num_tags: int, config: NetworkConfig) -> Heads:
    """Return heads with the tag head of ``config``; 0 categories or 0 tags leave that head out."""
    make_tag_head = partial(TAG_HEADS[config.tag_head], **arguments_of(config, config.tag_head))
    arguments = arguments_of(config, name)
    return HEADS[name](input_dim, num_categories, num_tags, make_tag_head=make_tag_head, **arguments)
