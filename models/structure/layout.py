"""Where the boxes of a network's picture stand."""

from dataclasses import dataclass

from models.structure.boxes import Box
from models.structure.formatting import count_text
from models.structure.modules import TRAINED_TABLE, ModalityPath, Structure

MARGIN = 14
GAP = 28  # between two columns
FRAME = 14  # from the boxes of an expert to its frame
_TOP_OF_MIXTURE = 52  # room for the frame of the experts and its title

_ROW_GAP = 22
_HEIGHT = 68  # of a box of up to four lines
_OWN_GAP = 16  # from an encoder to the heads of its own
_OWN_HEIGHT = 52
_HEADS_TITLE = 40
_HEAD_HEIGHT = 42
_HEAD_GAP = 24  # an arrow between two heads
_GATE_GAP = 30
_INPUT, _PREPARE, _ENCODE, _NARROW = 84, 118, 142, 116  # widths of the columns
_EXPERT = "experts.0"


@dataclass(frozen=True)
class Layout:
    """The boxes, placed.

    Attributes:
        inputs: One box a modality, as in the next two.
        preparations: What is done to the steps.
        encoders: What makes a vector of them.
        own_heads: The modalities' own heads; empty without.
        fusion: As high as all encoders.
        hidden: None without such a layer.
        embedding: The clip's embedding.
        heads: The frame of the heads: its title and lines stand at its top.
        category: None without categories.
        tags: None without tags.
        gate: None without a mixture.
        mixture: None without a mixture.
        width: Of the picture.
        height: Of the picture, without what stands under it.
    """

    inputs: tuple[Box, ...]
    preparations: tuple[Box, ...]
    encoders: tuple[Box, ...]
    own_heads: tuple[Box, ...]
    fusion: Box
    hidden: Box | None
    embedding: Box
    heads: Box
    category: Box | None
    tags: Box | None
    gate: Box | None
    mixture: Box | None
    width: float
    height: float


@dataclass(frozen=True)
class _Rows:
    """Height of the modalities' rows: `tops` of their boxes, `low` and `high` ends of them all."""

    tops: tuple[float, ...]
    high: float
    low: float

    @property
    def middle(self) -> float:
        """Half way down."""
        return (self.high + self.low) / 2


def lay_out(structure: Structure) -> Layout:
    """The boxes of a network, in columns from left to right."""
    is_mixture = structure.num_experts > 1
    rows = _rows(structure, _TOP_OF_MIXTURE if is_mixture else MARGIN)
    x_prepare = MARGIN + _INPUT + GAP
    # The source of the gate leaves between the preparation and the frame of the experts.
    x_encode = x_prepare + _PREPARE + GAP + (2 * FRAME if is_mixture else 0)
    encoders = tuple(_encoder(structure, *row, x_encode) for row in zip(structure.modalities, rows.tops, strict=True))
    fusion = _fusion(structure, x_encode + _ENCODE + GAP, rows)
    hidden = _hidden(structure, fusion.right + GAP, rows) if structure.hidden_width else None
    embedding = _embedding(structure, (hidden or fusion).right + GAP, rows)
    heads = _heads(structure, embedding.right + GAP, rows)
    gate = _gate(structure, x_encode, max(rows.low, heads.bottom) + FRAME + _GATE_GAP) if is_mixture else None
    mixture = _mixture(structure, heads.right + FRAME + GAP, rows) if is_mixture else None
    return Layout(
        inputs=tuple(_input(*row) for row in zip(structure.modalities, rows.tops, strict=True)),
        preparations=tuple(
            _preparation(structure, *row, x_prepare) for row in zip(structure.modalities, rows.tops, strict=True)
        ),
        encoders=encoders,
        own_heads=tuple(_own_heads(structure, *row) for row in zip(structure.modalities, encoders, strict=True))
        if structure.has_modality_heads
        else (),
        fusion=fusion,
        hidden=hidden,
        embedding=embedding,
        heads=heads,
        category=_category(structure, heads) if structure.num_categories else None,
        tags=_tags(structure, heads) if structure.num_tags else None,
        gate=gate,
        mixture=mixture,
        width=(mixture or heads).right + MARGIN,
        height=gate.bottom if gate else max(rows.low, heads.bottom),
    )


def _rows(structure: Structure, top: float) -> _Rows:
    """The rows, centred where the heads are higher."""
    one = _HEIGHT + (_OWN_GAP + _OWN_HEIGHT if structure.has_modality_heads else 0)
    num_modalities = len(structure.modalities)
    total = num_modalities * (one + _ROW_GAP) - _ROW_GAP
    high = top + max(0, _heads_height(structure) - total) / 2
    return _Rows(tuple(high + index * (one + _ROW_GAP) for index in range(num_modalities)), high, high + total)


def _heads_height(structure: Structure) -> float:
    """A title, and a box for each head."""
    num_heads = (structure.num_categories > 0) + (structure.num_tags > 0)
    return _HEADS_TITLE + num_heads * _HEAD_HEIGHT + max(0, num_heads - 1) * _HEAD_GAP + FRAME


def _input(modality: ModalityPath, y: float) -> Box:
    steps = "1" if modality.num_steps == 1 else "T"
    return Box(modality.name, (f"{steps} × {modality.input_width}",), MARGIN, y, _INPUT, _HEIGHT)


def _preparation(structure: Structure, modality: ModalityPath, y: float, x: float) -> Box:
    first, *others = modality.preparations
    table = structure.by_path().get("prepare.table") if TRAINED_TABLE in modality.preparations else None
    trained = () if table is None else (_parameters(table.num_parameters),)
    given, made = modality.input_width, modality.prepared_width
    widths = () if given == made else (f"{given} → {made}",)
    added = (f"+ {other}" for other in others)
    return Box(first, (*added, *widths, *trained), x, y, _PREPARE, _HEIGHT, is_trained=table is not None)


def _encoder(structure: Structure, modality: ModalityPath, y: float, x: float) -> Box:
    widths = f"{modality.prepared_width} → {modality.output_width}"
    lines = (widths, *_cost(structure, f"{_EXPERT}.encoders.{modality.name}"))
    return Box(modality.aggregator, lines, x, y, _ENCODE, _HEIGHT, is_trained=True)


def _own_heads(structure: Structure, modality: ModalityPath, encoder: Box) -> Box:
    lines = _cost(structure, f"{_EXPERT}.modality_heads.{modality.name}")
    y = encoder.bottom + _OWN_GAP
    return Box("own heads", lines, encoder.x, y, _ENCODE, _OWN_HEIGHT, is_trained=True, is_dashed=True)


def _fusion(structure: Structure, x: float, rows: _Rows) -> Box:
    given = sum(modality.output_width for modality in structure.modalities)
    lines = ("fusion", f"{given} → {structure.fusion_width}", *_cost(structure, f"{_EXPERT}.fusion"))
    is_trained = structure.by_path()[f"{_EXPERT}.fusion"].num_parameters > 0
    return Box(structure.fusion, lines, x, rows.high, _NARROW, rows.low - rows.high, is_trained=is_trained)


def _hidden(structure: Structure, x: float, rows: _Rows) -> Box:
    lines = (f"{structure.fusion_width} → {structure.hidden_width}", *_cost(structure, f"{_EXPERT}.hidden"))
    return Box("hidden layer", lines, x, rows.middle - _HEIGHT / 2, _NARROW, _HEIGHT, is_trained=True)


def _embedding(structure: Structure, x: float, rows: _Rows) -> Box:
    given = structure.hidden_width or structure.fusion_width
    lines = (f"{given} → {structure.embedding_width}", *_cost(structure, f"{_EXPERT}.embed"))
    return Box("embedding", lines, x, rows.middle - _HEIGHT / 2, _NARROW, _HEIGHT, is_trained=True)


def _heads(structure: Structure, x: float, rows: _Rows) -> Box:
    lines = _cost(structure, f"{_EXPERT}.heads")
    height = _heads_height(structure)
    return Box(f"heads: {structure.heads}", lines, x, rows.middle - height / 2, _ENCODE, height)


def _category(structure: Structure, heads: Box) -> Box:
    return _head("category", f"{structure.num_categories} classes", heads, heads.y + _HEADS_TITLE)


def _tags(structure: Structure, heads: Box) -> Box:
    return _head("tags", f"{structure.num_tags} tags, {structure.tag_head}", heads, heads.bottom - FRAME - _HEAD_HEIGHT)


def _head(title: str, line: str, heads: Box, y: float) -> Box:
    return Box(title, (line,), heads.x + FRAME, y, heads.width - 2 * FRAME, _HEAD_HEIGHT, is_trained=True)


def _gate(structure: Structure, x: float, y: float) -> Box:
    width = sum(modality.prepared_width for modality in structure.modalities)
    lines = (f"mean steps, {width} → {structure.num_experts}", *_cost(structure, "gate"))
    return Box("gate", lines, x, y, _ENCODE, _OWN_HEIGHT, is_trained=True)


def _mixture(structure: Structure, x: float, rows: _Rows) -> Box:
    lines = (f"of {structure.num_experts} experts", "answers and", "embeddings")
    return Box("mixture", lines, x, rows.middle - _HEIGHT / 2, _NARROW, _HEIGHT)


def _cost(structure: Structure, path: str) -> tuple[str, ...]:
    row = structure.by_path()[path]
    return (_parameters(row.num_parameters),) if row.num_parameters else ()


def _parameters(number: int) -> str:
    return f"{count_text(number)} parameters"
