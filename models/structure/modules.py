"""The modules of a network as plain values. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

WHOLE = ""
"""Path of the row of the whole network."""

STANDARDISED = "standardise"
TRAINED_TABLE = "trained table"


@dataclass(frozen=True)
class ModuleRow:
    """One module.

    Shapes are words: `(B, T, 1280)`, where B is the number of clips and T that of the steps of the modality.

    Attributes:
        path: Its attributes from the network on, joined by dots; `WHOLE` for the network itself.
        name: What of the path is not its parent's.
        level: How deep it stands: 0 for the network itself, one more for each module around it that has a row.
        kind: Its class.
        copies: How many modules of this shape there are: the experts of a mixture are alike.
        inputs: Shapes of what goes in, masks apart.
        masks: Shapes of the masks that go in; empty where it looks at none.
        outputs: Shapes of what comes out.
        num_parameters: Trained numbers of one copy; running statistics are not counted.
        flops_per_clip: Of one copy's forward pass over one clip of the batch that was looked at.
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
    """The way of one modality up to the fusion.

    Attributes:
        name: Of the modality.
        input_width: Width of its cached features.
        preparations: What is done to its steps; where it is two things, their results stand side by side.
        prepared_width: Width of a prepared step.
        aggregator: Name of what makes one vector of the steps.
        output_width: Width of that vector.
        num_steps: T in the batch that was looked at.
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
        fusion_width: Width of what it gives.
        hidden_width: Width of the layer after it; 0 = none.
        embedding_width: Width of the clip's embedding.
        heads: Name of the heads.
        tag_head: Name of what gives the logits of the tags.
        num_categories: K; 0 = no category head.
        num_tags: C; 0 = no tag head.
        has_modality_heads: Whether each modality has heads of its own for training.
        num_experts: Networks side by side that a gate mixes; 1 = no mixture.
        rows: The modules: each before what is inside it, and the whole network first.
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
        """Trained numbers of the whole network, all experts together."""
        return self.by_path()[WHOLE].num_parameters

    @property
    def flops_per_clip(self) -> int:
        """Of the whole network's forward pass over one clip, all experts together."""
        return self.by_path()[WHOLE].flops_per_clip

    def by_path(self) -> Mapping[str, ModuleRow]:
        """Path -> row."""
        return {row.path: row for row in self.rows}
