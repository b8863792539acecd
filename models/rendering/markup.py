"""HTML and SVG whose text is escaped unless its type says that it is markup already."""

import html
import re
from collections.abc import Iterable

# Characters that HTML forbids, and halves of surrogate pairs, which cannot be written as UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_VOID_ELEMENTS = frozenset({"img", "meta"})


class Html(str):
    """Markup that goes into a page as it stands; every plain `str` is text, and is escaped."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float | None) -> Html:
    """Return one element around its children: `Html` as it stands, other text escaped.

    In an attribute's name a trailing underscore is dropped (`class_`) and others become hyphens
    (`stroke_width`). An attribute of None is left out; a number is written with at most two decimals.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID_ELEMENTS:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[str]) -> Html:
    """Return the children behind each other: `Html` as it stands, other text escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def escape(text: str) -> Html:
    """Return the text as markup that shows it; a character that no page may hold becomes U+FFFD."""
    return Html(html.escape(_FORBIDDEN.sub("\ufffd", text)))


def _attribute_value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
