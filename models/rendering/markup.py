"""HTML whose text is escaped unless its type is ``Html``."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from features.base.text import replace_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID_ELEMENTS = frozenset({"img", "meta"})


class Html(str):
    """Markup that is inserted as it is; every plain ``str`` is text and is escaped."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | int | None) -> Html:
    """Return one element around its children: ``Html`` unchanged, other text escaped.

    In the name of an attribute a trailing underscore is dropped (``class_``) and others become hyphens
    (``http_equiv``). An attribute of None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID_ELEMENTS:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[str]) -> Html:
    """Return the children in order: ``Html`` unchanged, other text escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def escape(text: str) -> Html:
    """Return the text as markup that shows it; a character that HTML forbids becomes U+FFFD."""
    return Html(html.escape(replace_forbidden(text)))
