"""A structure as text: numbers, the cells of its table, a summary, and a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.structure.structure import ModuleRow, Structure

HEADERS = ("Module", "Kind", "Inputs", "Masks", "Outputs", "Parameters", "FLOPs a clip")
_PREFIXES = ("", "k", "M", "G", "T")
_THOUSAND = 1000


def count_text(number: float) -> str:
    """Return a count with three digits: 950, 12.3 k, 4.56 M."""
    power = 0
    # A number that would round up to 1000 takes the next prefix.
    while power + 1 < len(_PREFIXES) and float(f"{number:.3g}") >= _THOUSAND:
        number, power = number / _THOUSAND, power + 1
    digits = f"{number:.0f}" if not power or number >= _THOUSAND / 10 else f"{number:#.3g}"
    return f"{digits} {_PREFIXES[power]}".rstrip()


def row_cells(row: ModuleRow) -> tuple[str, ...]:
    """Return the cells under ``HEADERS``; the figures of a module with copies are those of one copy."""
    times = f"{row.copies} × " if row.copies > 1 else ""
    return (
        row.name,
        row.kind,
        ", ".join(row.inputs),
        ", ".join(row.masks),
        ", ".join(row.outputs),
        f"{times}{row.num_parameters:,}",
        f"{times}{row.flops_per_clip:,}",
    )


def summary(structure: Structure) -> str:
    """Return the totals and the meaning of the figures in a few sentences."""
    steps = ", ".join(f"{modality.name} {modality.num_steps}" for modality in structure.modalities)
    experts = (
        f" {structure.num_experts} experts are alike: the first is listed, and its figures are those of one."
        if structure.num_experts > 1
        else ""
    )
    return (
        f"{structure.num_parameters:,} trained parameters; {structure.flops_per_clip:,} floating point operations "
        f"for the forward pass of one clip with these numbers of steps: {steps}. B is the number of clips, T the "
        "number of steps of the modality; a module contains the modules indented below it. A multiplication and an "
        "addition count as two operations; only matrix products, convolutions and LSTMs are counted, not elementwise "
        f"operations such as norms and activations.{experts}"
    )


def structure_to_markdown(structure: Structure, *, picture_name: str) -> str:
    """Return the page: the picture, the summary, and one row a module, indented below its parent."""
    rule = ["---"] * 5 + ["---:"] * 2
    rows = []
    for row in structure.rows:
        name, *others = row_cells(row)
        rows.append([f"{'· ' * row.level}{name}", *others])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADERS, rule, *rows))
    return f"# Network\n\n![The modules from left to right]({picture_name})\n\n{summary(structure)}\n\n{table}\n"
