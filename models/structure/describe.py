"""A network looked at: which modules it has, what goes through them, and what they cost."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from features.base.errors import DataError
from features.base.modalities import has_steps
from models.aggregators.base import Aggregator
from models.aggregators.concatenated import Joined
from models.data.batching import Batch
from models.data.sources import TEXT
from models.fusion.base import Fusion
from models.heads.logits import Outputs
from models.network.network import VideoNetwork
from models.network.token_embedding import TextTable
from models.structure.example import more_clips, more_steps
from models.structure.modules import STANDARDISED, TRAINED_TABLE, WHOLE, ModalityPath, ModuleRow, Structure
from models.structure.probe import Calls, probe
from models.structure.shapes import Seen, shape_words

_DEPTH = 3
"""Modules this deep have a row; a network's aggregators and the parts of its heads stand there."""

_GROUPS = (nn.ModuleDict, nn.ModuleList)
"""Modules that only hold others."""

_PASSING = (nn.Identity, nn.Dropout)
"""Modules that are nothing when a network answers."""

_WHOLE = (Aggregator, Fusion, TextTable)
"""Modules that are one step to a reader, whatever they are made of."""

_FIRST_EXPERT = "experts.0"


@dataclass(frozen=True)
class _Place:
    """A module that gets a row, and where it stands."""

    path: str
    name: str
    level: int
    module: nn.Module


def describe(network: VideoNetwork, batch: Batch) -> Structure:
    """What `network` is made of, as seen in passes over `batch`; the network is left as it is.

    Args:
        network: On any device; a copy of it is looked at on the CPU, in evaluation.
        batch: At least one clip with all modalities of the network, such as `example_batch` makes. The
            operations of a clip depend on its steps.

    Raises:
        DataError: The batch has no clip.
    """
    some = next(iter(batch.masks.values()))
    if not len(some):
        raise DataError("a network was to be described by a batch of 0 clips: give at least one")
    seen_network = copy.deepcopy(network).cpu().eval()
    batch = batch.to(torch.device("cpu"))
    passes = [probe(seen_network, view) for view in (batch, more_clips(batch), more_steps(batch))]
    rows = [_row(place, [seen[place.path] for seen in passes], network, len(some)) for place in _places(network)]
    with torch.no_grad():
        num_categories, num_tags = _num_logits(seen_network(batch))
    config, seen = network.config, passes[0]
    return Structure(
        modalities=tuple(_modality(name, network, batch, seen) for name in network.modality_dims),
        fusion=config.fusion,
        fusion_width=_width(seen, f"{_FIRST_EXPERT}.fusion"),
        hidden_width=config.hidden_width,
        embedding_width=config.embedding_width,
        heads=config.heads,
        tag_head=config.tag_head,
        num_categories=num_categories,
        num_tags=num_tags,
        has_modality_heads=config.modality_heads,
        num_experts=len(network.experts),
        rows=tuple(rows),
    )


def _places(network: VideoNetwork) -> Iterator[_Place]:
    """The network and the modules in it that get a row, each before what is inside it."""
    yield _Place(WHOLE, "network", 0, network)
    yield from _inside(network, "", "", 1)


def _inside(module: nn.Module, path: str, prefix: str, level: int) -> Iterator[_Place]:
    """Places of the children, `prefix` being the part of `path` that has no row of its own."""
    for key, child in module.named_children():
        own_path, name = f"{path}.{key}".lstrip("."), f"{prefix}.{key}".lstrip(".")
        if isinstance(child, _PASSING) or (own_path.startswith("experts.") and not _is_in_first_expert(own_path)):
            continue
        if isinstance(child, _GROUPS):
            yield from _inside(child, own_path, name, level)
            continue
        yield _Place(own_path, name, level, child)
        if isinstance(child, Joined) or (level < _DEPTH and not isinstance(child, _WHOLE)):
            yield from _inside(child, own_path, "", level + 1)


def _is_in_first_expert(path: str) -> bool:
    return f"{path}.".startswith(f"{_FIRST_EXPERT}.")


def _row(place: _Place, calls: list[Calls], network: VideoNetwork, num_clips: int) -> ModuleRow:
    once, other_clips, other_steps = calls
    return ModuleRow(
        path=place.path,
        name=place.name,
        level=place.level,
        kind=type(place.module).__name__.lstrip("_"),
        copies=len(network.experts) if _is_in_first_expert(place.path) else 1,
        inputs=shape_words(Seen(once.inputs, other_clips.inputs, other_steps.inputs)),
        masks=shape_words(Seen(once.masks, other_clips.masks, other_steps.masks)),
        outputs=shape_words(Seen(once.outputs, other_clips.outputs, other_steps.outputs)),
        num_parameters=sum(parameter.numel() for parameter in place.module.parameters()),
        flops_per_clip=round(once.flops / num_clips),
    )


def _modality(name: str, network: VideoNetwork, batch: Batch, seen: Mapping[str, Calls]) -> ModalityPath:
    parts = [STANDARDISED] if name in network.prepare.standardise else []
    if name == TEXT and network.prepare.table is not None:
        parts.append(TRAINED_TABLE)
    aggregator = network.config.aggregator_of(name)
    if not has_steps(name):
        aggregator = "dense" if network.config.cover_width else "mean"
    return ModalityPath(
        name=name,
        input_width=network.modality_dims[name],
        preparations=tuple(parts),
        prepared_width=network.prepare.output_dims[name],
        aggregator=aggregator,
        output_width=_width(seen, f"{_FIRST_EXPERT}.encoders.{name}"),
        num_steps=batch.features[name].shape[1],
    )


def _width(seen: Mapping[str, Calls], path: str) -> int:
    """Last size of what comes out of a module."""
    return seen[path].outputs[0][-1]


def _num_logits(outputs: Outputs) -> tuple[int, int]:
    """K and C; 0 where there is no such head."""
    category, tags = outputs.category_logits, outputs.tag_logits
    return 0 if category is None else category.shape[1], 0 if tags is None else tags.shape[1]
