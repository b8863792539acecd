"""Numbers and rows of a structure in words, the same in every rendering."""

from models.structure.modules import ModuleRow, Structure

HEADERS = ("Module", "Kind", "Inputs", "Masks", "Outputs", "Parameters", "FLOPs a clip")

_PREFIXES = ("", "k", "M", "G", "T")
_THOUSAND = 1000


def count_text(number: float) -> str:
    """A count with three digits: 950, 12.3 k, 4.56 M."""
    power = 0
    # What would round up to 1000 takes the next prefix.
    while power + 1 < len(_PREFIXES) and float(f"{number:.3g}") >= _THOUSAND:
        number, power = number / _THOUSAND, power + 1
    digits = f"{number:.0f}" if not power or number >= _THOUSAND / 10 else f"{number:#.3g}"
    return f"{digits} {_PREFIXES[power]}".rstrip()


def row_cells(row: ModuleRow) -> tuple[str, ...]:
    """The cells under `HEADERS`; the figures of a module with copies are of one of them."""
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


def about(structure: Structure) -> str:
    """The totals, and what the figures are, in a few sentences."""
    steps = ", ".join(f"{modality.name} {modality.num_steps}" for modality in structure.modalities)
    experts = (
        f" {structure.num_experts} experts are alike: the first is listed, and its figures are those of one."
        if structure.num_experts > 1
        else ""
    )
    return (
        f"{structure.num_parameters:,} trained parameters; {structure.flops_per_clip:,} floating point operations "
        f"for one clip forward, with these numbers of steps: {steps}. B is the number of clips, T that of the "
        "steps of the modality; a module contains those set in under it. A multiplication and an addition count "
        "as two operations; only matrix products, convolutions and LSTMs are counted, not what is done unit by "
        f"unit, such as norms and activations.{experts}"
    )
