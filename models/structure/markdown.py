"""A structure as a Markdown page."""

from models.structure.formatting import HEADERS, about, row_cells
from models.structure.modules import Structure


def render_markdown(structure: Structure, *, picture_name: str) -> str:
    """The page: the picture, what the figures are, and a row a module, set in under what it is part of."""
    rule = ["---"] * 5 + ["---:"] * 2
    rows = []
    for row in structure.rows:
        name, *others = row_cells(row)
        rows.append([f"{'· ' * row.level}{name}", *others])
    lines = [f"| {' | '.join(cells)} |" for cells in (HEADERS, rule, *rows)]
    table = "\n".join(lines)
    return f"# Network\n\n![The modules from left to right]({picture_name})\n\n{about(structure)}\n\n{table}\n"
