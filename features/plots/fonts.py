"""Fonts that can write Chinese, where the machine has one: neither Pillow's nor matplotlib's own can."""

from __future__ import annotations

import functools
from pathlib import Path

# Files under which the usual packages of Linux, macOS and Windows install such a font.
CJK_FONT_FILES = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf", "NotoSansSC-Regular.ttf",
    "SourceHanSansCN-Regular.otf", "SourceHanSansSC-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "msyh.ttc",
    "simhei.ttf",
)  # fmt: skip


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
