"""Plain-text tables for a terminal, with Chinese titles in straight columns."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from features.base.text import display_width, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "


def render_table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, max_column_width: int = 60) -> str:
    """Return the table as lines of text without a final newline: headers, a rule, one line per row.

    A column of numbers only is aligned to the right, others to the left. None is shown as "-". A cell wider
    than ``max_column_width`` is cut and ends in "…". Control characters, line breaks among them, become spaces,
    so that no title can move the cursor. The empty table is its headers and the rule.

    Raises:
        ValueError: A row does not have one cell per header.
    """
    texts = [[_cell(value, max_column_width) for value in row] for row in (headers, *rows)]
    columns = list(zip(*texts, strict=True))
    widths = [max(display_width(text) for text in column) for column in columns]
    is_number = [bool(rows) and all(map(_is_number, column)) for column in zip(*rows, strict=True)]
    lines = [_line(text_row, widths, is_number or [False] * len(widths)) for text_row in texts]
    rule = GAP.join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(value: object, max_width: int) -> str:
    text = "-" if value is None else str(value)
    printable = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return shorten(printable, max_width)


def _line(texts: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    cells = (_pad(*cell) for cell in zip(texts, widths, is_number, strict=True))
    return GAP.join(cells).rstrip()


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _pad(text: str, width: int, to_the_right: bool) -> str:
    spaces = " " * (width - display_width(text))
    return spaces + text if to_the_right else text + spaces
