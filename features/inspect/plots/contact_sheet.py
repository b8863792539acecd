"""Contact sheets: small pictures in rows, each with a label below it, drawn by Pillow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.figures import THEME, cjk_font_file
from features.base.text import ELLIPSIS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from PIL import Image, ImageDraw, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

CELL_HEIGHT = 160  # pixels
MAX_CELL_WIDTH = 420
SHEET_WIDTH = 1400
GAP = 8
LABEL_PIXELS = 14
LINE_HEIGHT = 20


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        picture: At its final size.
        lines: The label below it.
    """

    picture: Image.Image
    lines: tuple[str, ...]


def small_picture(pixels: npt.NDArray[np.uint8], cell_height: int = CELL_HEIGHT) -> Image.Image:
    """Return ``(H, W, 3)`` RGB as a picture of height ``cell_height``, less where its width would exceed 420 pixels."""
    from PIL import Image  # noqa: PLC0415 - only pictures need it

    height, width = pixels.shape[:2]
    scale = min(cell_height / height, MAX_CELL_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def write_sheet(cells: Sequence[Cell], heading: str, path: Path) -> None:
    """Write one or more pictures as a PNG, in rows of at most 1,400 pixels, with a heading of one line."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - only pictures need it

    width = max(cell.picture.width for cell in cells)
    height = max(cell.picture.height for cell in cells)
    num_lines = max(len(cell.lines) for cell in cells)
    columns = max(1, min(len(cells), (SHEET_WIDTH - GAP) // (width + GAP)))
    row_height = height + num_lines * LINE_HEIGHT + GAP
    # The heading needs room also above one small picture.
    sheet_width = max(columns * (width + GAP) + GAP, 480)
    top = LINE_HEIGHT + 2 * GAP
    sheet = Image.new("RGB", (sheet_width, top + math.ceil(len(cells) / columns) * row_height), THEME["card"][0])
    brush = ImageDraw.Draw(sheet)
    _write(brush, (GAP, GAP), heading, sheet_width - 2 * GAP)
    for number, cell in enumerate(cells):
        left = GAP + number % columns * (width + GAP)
        upper = top + number // columns * row_height
        sheet.paste(cell.picture, (left, upper))
        for line_number, line in enumerate(cell.lines):
            _write(brush, (left, upper + height + 2 + line_number * LINE_HEIGHT), line, width)
    sheet.save(path, "PNG")


def _write(brush: ImageDraw.ImageDraw, place: tuple[int, int], line: str, room: int) -> None:
    """Write one line, cut to ``room`` pixels."""
    font = _font(line)
    shown = line
    while shown and brush.textlength(shown, font=font) > room:
        shown = shown.removesuffix(ELLIPSIS)[:-1] + ELLIPSIS if len(shown) > 1 else ""
    brush.text(place, shown, fill=THEME["ink"][0], font=font)


def _font(line: str) -> Font:
    from PIL import ImageFont  # noqa: PLC0415 - only pictures need it

    font_file = None if line.isascii() else cjk_font_file()
    if font_file is None:
        return ImageFont.load_default(LABEL_PIXELS)
    return ImageFont.truetype(str(font_file), LABEL_PIXELS)
