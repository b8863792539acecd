"""A page that needs no network, no script and no other file: its head and style, and the pieces of its sections."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from features.base.figures import theme_css
from models.rendering.markup import Html, element, join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING = "–"
# Titles and labels come from outside. Should one get past the escaping, the page still loads and runs nothing.
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_MEDIA_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 18px 0 6px; }
p { margin: 0 0 12px; }
.soft, .note { color: var(--soft); }
.note { font-size: 13.5px; max-width: 78ch; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 20px 22px; margin-top: 20px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--rule);
  overflow-wrap: break-word; }
th { font-weight: 600; color: var(--soft); font-size: 13px; overflow-wrap: normal; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.best { font-weight: 700; }
.id { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
.modules td { white-space: nowrap; }
td.id, td.long, .bars td:first-child { overflow-wrap: anywhere; }
td.id { max-width: 320px; }
.pairs td.id { max-width: none; }
.pairs th:first-child, .pairs td:first-child { width: 260px; }
tr.group td { padding-top: 16px; font-weight: 600; }
.up { color: var(--good); } .down { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px;
  margin-top: 20px; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 18px; }
.tile b { display: block; font-size: 30px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile > span { display: block; font-size: 13.5px; }
.bars td { vertical-align: middle; padding-top: 4px; padding-bottom: 4px; }
.bars td:first-child { width: 30%; }
.bars td.bar { width: 46%; padding-right: 18px; }
.track { position: relative; height: 16px; background: var(--track); border-radius: 3px; }
.track i { position: absolute; display: block; }
.fill { left: 0; top: 0; bottom: 0; background: var(--bar); border-radius: 3px; }
.chance { width: 2px; top: -3px; bottom: -3px; margin-left: -1px; background: var(--bad); }
.other { width: 9px; height: 9px; top: 3.5px; margin-left: -4.5px; border: 2px solid var(--ink);
  border-radius: 50%;
  background: var(--card); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; font-size: 13.5px; color: var(--soft);
  margin: 6px 0 10px; }
.legend span { display: inline-flex; align-items: center; gap: 7px; }
.swatch { display: inline-block; width: 18px; height: 10px; border-radius: 2px; background: var(--bar); }
.swatch.chance { position: static; width: 2px; height: 16px; margin: 0; background: var(--bad); }
.swatch.other { position: static; width: 9px; height: 9px; margin: 0; border-radius: 50%;
  background: var(--card); }
.swatch.s0 { height: 3px; background: var(--s0); } .swatch.s1 { height: 3px; background: var(--s1); }
.swatch.s2 { height: 3px; background: var(--s2); }
.swatch.mark { width: 0; height: 14px; background: none; border-left: 2px dashed var(--soft);
  border-radius: 0; }
svg { display: block; max-width: 100%; height: auto; }
.wide > svg { max-width: none; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 18px; }
.errors { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 16px; }
figure { margin: 0; border: 1px solid var(--rule); border-radius: 8px; overflow: hidden; }
figure img, .blank { display: block; width: 100%; height: 150px; object-fit: contain; background: #0e1116; }
.blank { display: flex; align-items: center; justify-content: center; color: #98a4b5; font-size: 13px; }
figcaption { padding: 10px 12px 12px; font-size: 13.5px; overflow-wrap: anywhere; }
figcaption > div { unicode-bidi: isolate; }
figcaption .heading { font-weight: 600; }
details summary { cursor: pointer; color: var(--accent); padding: 8px 0; }
@media print { section, .tile, figure { break-inside: avoid; } body { background: #ffffff; } }
"""


def render_page(title: str, *content: str) -> str:
    """Return a whole page around its content."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(theme_css() + STYLE)),
    )
    page = element("html", head, element("body", element("main", *content)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def section(heading: str, *content: str, note: str | None = None) -> Html:
    """Return one card of the page with an optional line of explanation under its heading."""
    explanation = () if note is None else (element("p", note, class_="note"),)
    return element("section", element("h2", heading), *explanation, *content)


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    numbers: Sequence[int] = (),
    ids: Sequence[int] = (),
    long: Sequence[int] = (),
    class_: str | None = None,
) -> Html:
    """Return a table that scrolls sideways on a narrow page.

    Args:
        headers: One a column.
        rows: ``Html`` of a whole row, or cells: a whole number gets separators, None becomes ``–``.
        numbers: Columns that are aligned right.
        ids: Columns that are monospaced and may break inside a word.
        long: Columns that may break inside a word.
        class_: Class of the table in ``STYLE``.
    """
    kinds = {**dict.fromkeys(ids, "id"), **dict.fromkeys(long, "long"), **dict.fromkeys(numbers, "number")}
    names = (element("th", name, class_="number" if index in numbers else None) for index, name in enumerate(headers))
    head = element("thead", element("tr", *names))
    body = element("tbody", *(row if isinstance(row, Html) else _row(row, kinds) for row in rows))
    return element("div", element("table", head, body, class_=class_), class_="wide")


def _row(cells: Sequence[object], kinds: Mapping[int, str]) -> Html:
    return element("tr", *(element("td", _cell(cell), class_=kinds.get(index)) for index, cell in enumerate(cells)))


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else str(value)


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """Return one line of swatches with their meanings; ``entries`` are (class of the swatch, meaning)."""
    return element(
        "div",
        join(element("span", element("i", class_=f"swatch {kind}"), meaning) for kind, meaning in entries),
        class_="legend",
    )


def tile(name: str, value: str, *note: str) -> Html:
    """Return one large number with its name above it and a note below it."""
    return element(
        "div", element("span", name, class_="soft"), element("b", value), element("span", *note), class_="tile"
    )


def picture_card(clip_id: str, title: str, picture: bytes | None, alt: str, *lines: Html) -> Html:
    """Return a JPEG or PNG of a clip with its title, its id and further lines; None has no picture."""
    content = picture or b""
    media_type = next((name for magic, name in _MEDIA_TYPES.items() if content.startswith(magic)), None)
    if media_type is None:
        shown = element("div", "no picture", class_="blank")
    else:
        shown = element("img", src=f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}", alt=alt)
    heading = element("div", title or "no title", class_="heading" if title else "soft")
    return element("figure", shown, element("figcaption", heading, element("div", clip_id, class_="id soft"), *lines))


def bar_row(name: str, value: str, marks: Sequence[Html], numbers: Sequence[str | Html]) -> Html:
    """Return one row of a table of bars: name, value, marks on a track, and further numbers."""
    return element(
        "tr",
        element("td", name),
        element("td", value, class_="number"),
        element("td", element("div", *marks, class_="track"), class_="bar"),
        *(element("td", number, class_="number") for number in numbers),
    )


def score_text(value: float | None) -> str:
    """Return a score of 0 to 1 with three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def difference(value: float) -> Html:
    """Return a signed difference of two scores, coloured by its direction."""
    rounded = round(value, 3)
    kind = "up" if rounded > 0 else "down" if rounded < 0 else None
    return element("span", f"{rounded:+.3f}".replace("-", "−") if rounded else "±0.000", class_=kind)


def seconds_text(seconds: float | None) -> str:
    """Return a duration in the unit that fits it: 0.4 s, 75 s, 12 min, 3 h 20 min."""
    if seconds is None:
        return NOTHING
    minutes = round(seconds / 60)
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004
