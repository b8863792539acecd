"""The structure of a network as plain values, and as JSON. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features.base.errors import DataError
from models.config.artifacts import STRUCTURE_JSON_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHOLE = ""  # path of the row of the whole network
FIRST_EXPERT = "experts.0"  # path of the expert that is listed
STANDARDISED = "standardise"
TRAINED_TABLE = "trained table"
_TOTALS = ("num_parameters", "flops_per_clip")


@dataclass(frozen=True)
class ModuleRow:
    """One module.

    Shapes are text: ``(B, T, 1280)``, where B is the number of clips and T that of the steps of the modality.

    Attributes:
        path: Its attributes from the network down, joined by dots; ``WHOLE`` for the network itself.
        name: The part of the path below that of its parent.
        level: Its depth: 0 for the network itself, one more for each enclosing module that has a row.
        kind: Its class.
        copies: Number of modules of this shape: the experts of a mixture are alike.
        inputs: Shapes of the inputs, without the masks.
        masks: Shapes of the input masks; empty where the module reads none.
        outputs: Shapes of the outputs.
        num_parameters: Trained numbers of one copy; running statistics are not counted.
        flops_per_clip: Of the forward pass of one copy over one clip of the inspected batch.
    """

    path: str
    name: str
    level: int
    kind: str
    copies: int
    inputs: tuple[str, ...]
    masks: tuple[str, ...]
    outputs: tuple[str, ...]
    num_parameters: int
    flops_per_clip: int


@dataclass(frozen=True)
class ModalityPath:
    """The path of one modality up to the fusion.

    Attributes:
        name: Of the modality.
        input_width: Width of its cached features.
        preparations: Operations on its steps; the results of two are concatenated.
        prepared_width: Width of a prepared step.
        aggregator: Name of the module that turns the steps into one vector.
        output_width: Width of that vector.
        num_steps: T in the inspected batch.
    """

    name: str
    input_width: int
    preparations: tuple[str, ...]
    prepared_width: int
    aggregator: str
    output_width: int
    num_steps: int


@dataclass(frozen=True)
class Structure:
    """A network.

    Attributes:
        modalities: Its modalities in the order of the fusion.
        fusion: Name of the fusion.
        fusion_width: Width of its output.
        hidden_width: Width of the layer after it; 0 = none.
        embedding_width: Width of the embedding of a clip.
        heads: Name of the heads.
        tag_head: Name of the module that computes the logits of the tags.
        num_categories: K; 0 = no category head.
        num_tags: C; 0 = no tag head.
        has_modality_heads: Whether each modality has heads of its own during training.
        num_experts: Parallel networks that a gate mixes; 1 = no mixture.
        rows: The modules, each before its children; the whole network comes first.
    """

    modalities: tuple[ModalityPath, ...]
    fusion: str
    fusion_width: int
    hidden_width: int
    embedding_width: int
    heads: str
    tag_head: str
    num_categories: int
    num_tags: int
    has_modality_heads: bool
    num_experts: int
    rows: tuple[ModuleRow, ...]

    @property
    def num_parameters(self) -> int:
        """Return the trained numbers of the whole network, all experts included."""
        return self.by_path()[WHOLE].num_parameters

    @property
    def flops_per_clip(self) -> int:
        """Return the operations of a forward pass over one clip, all experts included."""
        return self.by_path()[WHOLE].flops_per_clip

    def by_path(self) -> Mapping[str, ModuleRow]:
        """Return path -> row."""
        return {row.path: row for row in self.rows}


def structure_to_json(structure: Structure) -> str:
    """Return the structure and its totals as one JSON object."""
    totals = {name: getattr(structure, name) for name in _TOTALS}
    return json.dumps({**totals, **asdict(structure)}, indent=1, ensure_ascii=False) + "\n"


def structure_from_json(text: str) -> Structure:
    """Return the structure that ``structure_to_json`` wrote.

    Raises:
        DataError: The text is not such an object.
    """
    try:
        document = json.loads(text)
        modalities = tuple(ModalityPath(**_with_tuples(fields)) for fields in document["modalities"])
        rows = tuple(ModuleRow(**_with_tuples(fields)) for fields in document["rows"])
        others = {name: value for name, value in document.items() if name not in (*_TOTALS, "modalities", "rows")}
        return Structure(modalities=modalities, rows=rows, **others)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the text is no structure of a network ({error}): give the text of a network.json") from error


def read_structure(folder: Path) -> Structure | None:
    """Return the structure beside a checkpoint in ``folder``; None when there is none.

    Raises:
        DataError: The file is not a structure.
    """
    path = folder / STRUCTURE_JSON_NAME
    try:
        return structure_from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:  # Any: values of JSON
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
