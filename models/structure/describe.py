"""Describes a network by its modules, their shapes and their cost, and writes that beside a checkpoint."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from features.base.errors import DataError
from features.base.files import publish_bytes
from features.base.modalities import TEXT, has_steps
from models.aggregators.base import Aggregator
from models.aggregators.concatenated import Joined
from models.config.artifacts import STRUCTURE_JSON_NAME, STRUCTURE_MARKDOWN_NAME, STRUCTURE_PICTURE_NAME
from models.data.batching import Batch
from models.fusion.base import Fusion
from models.network.token_embedding import TextTable
from models.structure.formatting import structure_to_markdown
from models.structure.picture import draw_network
from models.structure.probe import Passes, probe, shape_texts
from models.structure.structure import (
    FIRST_EXPERT,
    STANDARDISED,
    TRAINED_TABLE,
    WHOLE,
    ModalityPath,
    ModuleRow,
    Structure,
    structure_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from models.heads.logits import Outputs
    from models.network.network import VideoNetwork
    from models.structure.probe import Calls

# Modules down to this depth have a row, which includes the aggregators and the parts of the heads.
_DEPTH = 3
# Containers: only their children have rows.
_GROUPS = (nn.ModuleDict, nn.ModuleList)
# Modules without effect in evaluation.
_HIDDEN_MODULES = (nn.Identity, nn.Dropout)
# Modules shown as one step: their children have no rows.
_WHOLE = (Aggregator, Fusion, TextTable)


@dataclass(frozen=True)
class _ListedModule:
    """A module that gets a row, and its position in the network."""

    path: str
    name: str
    level: int
    module: nn.Module


def describe_network(network: VideoNetwork, batch: Batch) -> Structure:
    """Return the structure of a network, measured in forward passes over a batch; the network is not changed.

    Args:
        network: On any device; a copy of it is run on the CPU, in evaluation mode.
        batch: At least one clip with all modalities of the network, such as ``example_batch`` returns. The
            operations of a clip depend on its steps.

    Raises:
        DataError: The batch has no clip.
    """
    some = next(iter(batch.masks.values()))
    if not len(some):
        raise DataError("cannot describe a network by a batch of 0 clips: give at least one")
    copied = copy.deepcopy(network).cpu().eval()
    batch = batch.to(torch.device("cpu"))
    # An axis that grows with the clips is B and one that grows with the steps is T: each needs a pass of its own.
    passes = [probe(copied, view) for view in (batch, _repeated(batch, clips=2), _repeated(batch, steps=2))]
    rows = [_row(place, [calls[place.path] for calls in passes], network, len(some)) for place in _places(network)]
    with torch.no_grad():
        num_categories, num_tags = _num_logits(copied(batch))
    config, calls = network.config, passes[0]
    return Structure(
        modalities=tuple(_modality(name, network, batch, calls) for name in network.modality_dims),
        fusion=config.fusion,
        fusion_width=_width(calls, f"{FIRST_EXPERT}.fusion"),
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


def _places(network: VideoNetwork) -> Iterator[_ListedModule]:
    """Yield the network and the modules in it that get a row, each before its children."""
    yield _ListedModule(WHOLE, "network", 0, network)
    yield from _children(network, "", "", 1)


def _children(module: nn.Module, path: str, prefix: str, level: int) -> Iterator[_ListedModule]:
    """Yield the places of the children; ``prefix`` is the part of ``path`` that has no row of its own."""
    for key, child in module.named_children():
        own_path, name = f"{path}.{key}".lstrip("."), f"{prefix}.{key}".lstrip(".")
        if isinstance(child, _HIDDEN_MODULES) or (
            own_path.startswith("experts.") and not _is_in_first_expert(own_path)
        ):
            continue
        if isinstance(child, _GROUPS):
            yield from _children(child, own_path, name, level)
            continue
        yield _ListedModule(own_path, name, level, child)
        if isinstance(child, Joined) or (level < _DEPTH and not isinstance(child, _WHOLE)):
            yield from _children(child, own_path, "", level + 1)


def _is_in_first_expert(path: str) -> bool:
    return f"{path}.".startswith(f"{FIRST_EXPERT}.")


def _row(place: _ListedModule, passes: list[Calls], network: VideoNetwork, num_clips: int) -> ModuleRow:
    once, more_clips, more_steps = passes
    return ModuleRow(
        path=place.path,
        name=place.name,
        level=place.level,
        kind=type(place.module).__name__.lstrip("_"),
        copies=len(network.experts) if _is_in_first_expert(place.path) else 1,
        inputs=shape_texts(Passes(once.inputs, more_clips.inputs, more_steps.inputs)),
        masks=shape_texts(Passes(once.masks, more_clips.masks, more_steps.masks)),
        outputs=shape_texts(Passes(once.outputs, more_clips.outputs, more_steps.outputs)),
        num_parameters=sum(parameter.numel() for parameter in place.module.parameters()),
        flops_per_clip=round(once.flops / num_clips),
    )


def _modality(name: str, network: VideoNetwork, batch: Batch, calls: Mapping[str, Calls]) -> ModalityPath:
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
        output_width=_width(calls, f"{FIRST_EXPERT}.encoders.{name}"),
        num_steps=batch.features[name].shape[1],
    )


def _width(calls: Mapping[str, Calls], path: str) -> int:
    """Return the last size of the output of a module."""
    return calls[path].outputs[0][-1]


def _num_logits(outputs: Outputs) -> tuple[int, int]:
    """Return K and C, 0 where there is no such head."""
    category, tags = outputs.category_logits, outputs.tag_logits
    return 0 if category is None else category.shape[1], 0 if tags is None else tags.shape[1]


def example_batch(network: VideoNetwork, num_clips: int = 2, num_steps: int = 16) -> Batch:
    """Return clips of zeros with all modalities of a network, of ``num_steps`` steps where a modality has steps."""
    steps = {name: num_steps if has_steps(name) else 1 for name in network.modality_dims}
    needs_ids = TEXT in steps and network.config.text_embedding != "frozen"
    return Batch(
        features={name: torch.zeros(num_clips, steps[name], width) for name, width in network.modality_dims.items()},
        masks={name: torch.ones(num_clips, number, dtype=torch.bool) for name, number in steps.items()},
        labels=None,
        token_ids=torch.zeros(num_clips, steps[TEXT], dtype=torch.int64) if needs_ids else None,
    )


def _repeated(batch: Batch, *, clips: int = 1, steps: int = 1) -> Batch:
    """Return the batch with clips and steps repeated the given number of times."""
    features, masks = {}, {}
    for name, tensor in batch.features.items():
        times = steps if has_steps(name) else 1
        features[name] = tensor.repeat(clips, times, 1)
        masks[name] = batch.masks[name].repeat(clips, times)
    token_ids = None if batch.token_ids is None else batch.token_ids.repeat(clips, steps)
    return Batch(features, masks, None, token_ids)


def write_structure(folder: Path, network: VideoNetwork) -> Structure:
    """Write ``network.json``, ``network.md`` and ``network.svg`` into ``folder``, and return their content.

    The operations are counted for clips with 16 steps of each modality. The same network gives the same bytes.

    Raises:
        OSError: The folder cannot be written.
    """
    structure = describe_network(network, example_batch(network))
    files = {
        STRUCTURE_JSON_NAME: structure_to_json(structure),
        STRUCTURE_MARKDOWN_NAME: structure_to_markdown(structure, picture_name=STRUCTURE_PICTURE_NAME),
        STRUCTURE_PICTURE_NAME: f"{draw_network(structure, standalone=True)}\n",
    }
    for name, content in files.items():
        publish_bytes(folder / name, content.encode())
    return structure
