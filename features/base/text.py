"""Text of any script: its width in columns, and the characters that pages and pictures cannot contain."""

from __future__ import annotations

import re
import unicodedata

ELLIPSIS = "…"
# Characters that HTML and XML forbid, and halves of surrogate pairs, which cannot be written as UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def display_width(text: str) -> int:
    """Return the columns that a terminal gives the text: 2 for a wide character, 0 for a combining one."""
    return sum(_character_width(character) for character in text)


def shorten(text: str, max_width: int) -> str:
    """Return the text, cut to ``max_width`` columns with "…" at its end where it is wider."""
    if display_width(text) <= max_width:
        return text
    kept, width = [], display_width(ELLIPSIS)
    for character in text:
        width += _character_width(character)
        if width > max_width:
            break
        kept.append(character)
    return "".join(kept) + ELLIPSIS


def replace_forbidden(text: str) -> str:
    """Return the text with U+FFFD in the place of each character that HTML, XML or UTF-8 forbids."""
    return _FORBIDDEN.sub("\ufffd", text)


def shorten_line(text: str, max_width: int) -> str:
    """Return the text in one line of at most ``max_width`` columns, without characters that a page forbids."""
    # Cut before the words are split: a title may be megabytes long.
    return shorten(replace_forbidden(" ".join(text[: 4 * max_width].split())), max_width)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
