"""Matplotlib figures that all pictures share: fonts, colours, and one place that saves."""

from __future__ import annotations

import functools
import unicodedata
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from features.base.errors import ToolError
from features.plots.fonts import cjk_font_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
# Of a 10-point letter, on average; a Chinese character is twice as wide.
LETTER_INCHES = 0.088


@contextmanager
def new_figure(path: Path, width_inches: float, height_inches: float) -> Iterator[Figure]:
    """Hold an empty figure that is written to ``path`` as a PNG once it is drawn.

    Raises:
        ToolError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ToolError(
            "this picture needs matplotlib, which is not installed: pip install 'short-video-pipeline[report]'"
        ) from error
    # An id or a title is no formula, whatever dollar signs it holds. Any: matplotlib lists its keys as literals.
    look: dict[Any, Any] = {
        "font.family": _families(),
        "text.parse_math": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
    }
    with mpl.rc_context(look), warnings.catch_warnings():
        # A character that no font has shows as a box; the picture is whole.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
        yield figure
        figure.savefig(path)


@functools.cache
def _families() -> list[str]:
    """Return the fonts in the order in which a character is looked for."""
    from matplotlib import font_manager  # noqa: PLC0415 - an extra

    font_file = cjk_font_file()
    if font_file is None:
        return ["DejaVu Sans"]
    font_manager.fontManager.addfont(font_file)
    return ["DejaVu Sans", font_manager.FontProperties(fname=font_file).get_name()]


def set_heading(figure: Figure, *lines: str) -> None:
    """Write lines over a figure, from the left, each cut to its width."""
    letters = int(figure.get_figwidth() / LETTER_INCHES) - 2
    figure.suptitle("\n".join(_cut(line, letters) for line in lines if line), fontsize=10, x=0.01, ha="left")


def _cut(line: str, letters: int) -> str:
    width = 0
    for end, character in enumerate(line):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > letters:
            return line[:end] + "…"
    return line
