"""The one plotting system: matplotlib figures with shared fonts and colours, saved as PNG or as inline SVG.

A colour of ``THEME`` is written literally into a PNG; in an SVG it becomes ``var(--role)``, so that the page's style
sheet sets it, in light and in dark.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as ET

from features.base.text import replace_forbidden, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

# Role -> colour in light and in dark. The light ones differ from each other: an SVG is themed by their values.
THEME = {
    "page": ("#f6f7f9", "#14181e"),
    "card": ("#ffffff", "#1c222b"),
    "ink": ("#1d2530", "#e4e9f0"),
    "soft": ("#5d6979", "#98a4b5"),
    "rule": ("#dfe3e9", "#313a47"),
    "accent": ("#2563a8", "#6aa8ec"),
    "heat": ("#2664a8", "#3d79bb"),
    "on-heat": ("#fefefe", "#ffffff"),
    "bar": ("#7fa9d6", "#3f72a8"),
    "good": ("#1d7a46", "#5cc48a"),
    "bad": ("#b3372b", "#f08478"),
    "track": ("#edf0f4", "#272f3a"),
    "s0": ("#2563a9", "#6aa8ec"),
    "s1": ("#d9822b", "#f0a254"),
    "s2": ("#2f8f5b", "#62c792"),
}
# M. Okabe, K. Ito, Color Universal Design (2008), without its yellow, which white paper swallows.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
FONT_FAMILIES = (
    "system-ui, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', 'Source Han Sans SC', 'PingFang SC', sans-serif"
)
# Files under which the usual packages of Linux, macOS and Windows install a font with Chinese characters.
CJK_FONT_FILES = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf", "NotoSansSC-Regular.ttf",
    "SourceHanSansCN-Regular.otf", "SourceHanSansSC-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "msyh.ttc",
    "simhei.ttf",
)  # fmt: skip
DOTS_PER_INCH = 110
# matplotlib writes SVG at 72 units an inch: one unit is one pixel of the page and one point of a font.
SVG_PIXELS_PER_INCH = 72
# Width of a 10-point letter on average; a Chinese character is twice as wide.
LETTER_INCHES = 0.088

_TOOLTIP = "tooltip:"
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_ROLE_OF = {light: role for role, (light, _) in THEME.items()}


@contextmanager
def new_figure(
    width_inches: float, height_inches: float, *, layout: Literal["constrained"] | None = "constrained"
) -> Iterator[Figure]:
    """Yield an empty figure in the shared style; draw and save it inside the block."""
    import matplotlib as mpl  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    ink, soft = THEME["ink"][0], THEME["soft"][0]
    # Any: matplotlib lists its keys as literals.
    style: dict[Any, Any] = {
        "font.family": _families(),
        # An id or a title is no formula, whatever dollar signs it has.
        "text.parse_math": False,
        "text.color": ink,
        "axes.edgecolor": soft,
        "axes.labelcolor": ink,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "xtick.color": ink,
        "ytick.color": ink,
        # Text stays text, written by the browser's fonts; ids are the same in each run.
        "svg.fonttype": "none",
        "svg.hashsalt": "figure",
    }
    with mpl.rc_context(style), warnings.catch_warnings():
        # A character that no font has shows as a box; the picture is whole.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout=layout)


def save_png(figure: Figure, path: Path, *heading: str) -> None:
    """Write a figure as a PNG with lines of heading above it, each cut to its width."""
    letters = int(figure.get_figwidth() / LETTER_INCHES) - 2
    lines = [shorten(line, letters) for line in heading if line]
    figure.suptitle("\n".join(lines), fontsize=10, x=0.01, ha="left")
    figure.savefig(path, format="png")


def svg_text(figure: Figure, title: str, *, standalone: bool = False) -> str:
    """Return a figure as one ``<svg>`` element; the same figure gives the same text.

    Args:
        figure: Drawn in the colours of ``THEME``.
        title: The label for screen readers.
        standalone: Whether the element is a file of its own and so needs the style sheet of the theme.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawn = ET.fromstring(buffer.getvalue())  # noqa: S314 - matplotlib's own output
    width, height = figure.get_size_inches() * SVG_PIXELS_PER_INCH
    for parent in list(drawn.iter()):
        for child in list(parent):
            # Its style sheet would apply to the whole page.
            if child.tag == f"{_SVG}metadata" or child.find(f"{_SVG}style") is not None:
                parent.remove(child)
    for node in drawn.iter():
        _adapt(node)
    _release_pointer(drawn)
    if standalone:
        style = ET.Element("style")
        style.text = theme_css()
        drawn.insert(0, style)
    drawn.attrib.clear()
    drawn.attrib.update({
        "xmlns": _SVG[1:-1], "viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}", "height": f"{height:g}",
        "font-family": FONT_FAMILIES, "role": "img", "aria-label": replace_forbidden(title),
    })  # fmt: skip
    return ET.tostring(drawn, encoding="unicode")


def set_tooltip(artist: Artist, text: str) -> None:
    """Give an artist a text that an SVG shows under the pointer."""
    artist.set_gid(_TOOLTIP + replace_forbidden(text))


def theme_css() -> str:
    """Return the colours of ``THEME`` as custom properties, in light and in dark."""
    light, dark = (" ".join(f"--{role}: {pair[mode]};" for role, pair in THEME.items()) for mode in (0, 1))
    return (
        f":root {{ color-scheme: light dark; {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


@functools.cache
def cjk_font_file() -> Path | None:
    """Return the file of a font with Chinese characters, ``None`` when the machine has none of the usual ones."""
    from PIL import ImageFont  # noqa: PLC0415 - only pictures need it

    for name in CJK_FONT_FILES:
        try:
            return Path(str(ImageFont.truetype(name).path))
        except OSError:
            continue
    return None


@functools.cache
def _families() -> list[str]:
    """Return the fonts in the order of their use for a character."""
    from matplotlib import font_manager  # noqa: PLC0415 - takes half a second

    font_file = cjk_font_file()
    if font_file is None:
        return ["DejaVu Sans"]
    font_manager.fontManager.addfont(font_file)
    return ["DejaVu Sans", font_manager.FontProperties(fname=font_file).get_name()]


def _adapt(node: ET.Element) -> None:
    """Adapt one element to a page: remove namespace prefix, id and font family; theme its colours."""
    node.tag = node.tag.removeprefix(_SVG)
    if (reference := node.attrib.pop(f"{_XLINK}href", None)) is not None:
        node.set("href", reference)
    if node.tag == "g" and (name := node.attrib.pop("id", "")).startswith(_TOOLTIP):
        title = ET.Element("title")
        title.text = name.removeprefix(_TOOLTIP)
        node.insert(0, title)
    if style := node.get("style"):
        style = re.sub(r"#[0-9a-f]{6}", lambda found: _themed(found[0]), style)
        # The family is the page's.
        style = re.sub(r"font-family: [^;]*;? ?", "", style)
        node.set("style", style)
    if node.get("transform", "").startswith("rotate(-0 "):
        del node.attrib["transform"]
    # Other elements contain only line breaks and indents.
    node.text = node.text if node.tag in {"text", "tspan", "title", "style"} else None
    node.tail = None


def _themed(colour: str) -> str:
    role = _ROLE_OF.get(colour)
    return colour if role is None else f"var(--{role})"


def _release_pointer(drawn: ET.Element) -> None:
    """Make text without a tooltip transparent to the pointer, which then reaches the shape below."""
    for parent in drawn.iter("g"):
        if parent.find("title") is None:
            for text in parent.findall("text"):
                text.set("pointer-events", "none")
