"""The report's section about the network: its picture, and a row a module."""

from models.rendering.markup import Html, element
from models.report.parts import section, table
from models.structure.formatting import HEADERS, about, row_cells
from models.structure.modules import ModuleRow, Structure
from models.structure.picture import draw

_NUMBERS = (5, 6)


def network_section(structure: Structure | None) -> Html:
    """Return the network from its inputs to its answers, and what its modules cost; nothing without a network."""
    if structure is None:
        return Html()
    rows = [_module_row(row) for row in structure.rows]
    modules = table(HEADERS, rows, numbers=_NUMBERS, class_="modules")
    folded = element("details", element("summary", f"{len(rows)} modules, one by one"), modules)
    return section("Network", draw(structure), folded, note=about(structure))


def _module_row(row: ModuleRow) -> Html:
    """Return one row, its name set in by its level."""
    name, *others = row_cells(row)
    indented = element("td", name, style=f"padding-left:{row.level * 16}px")
    kinds = dict.fromkeys(_NUMBERS, "number")
    cells = (element("td", cell, class_=kinds.get(index)) for index, cell in enumerate(others, start=1))
    return element("tr", indented, *cells)
