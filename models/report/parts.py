"""Pieces that the sections of the report share: a section, a table, a legend, numbers in words."""

from collections.abc import Sequence

from models.rendering.markup import Html, element, join

NOTHING = "–"


def section(heading: str, *content: str, note: str | None = None) -> Html:
    """Return one card of the page with an optional line of explanation under its heading."""
    explanation = () if note is None else (element("p", note, class_="note"),)
    return element("section", element("h2", heading), *explanation, *content)


def table(
    headers: Sequence[str], rows: Sequence[Html], *, numbers: Sequence[int] = (), class_: str | None = None
) -> Html:
    """Return a table that scrolls sideways on a narrow page; the columns in `numbers` are aligned right."""
    head = element(
        "tr",
        *(element("th", header, class_="number" if index in numbers else None) for index, header in enumerate(headers)),
    )
    body = element("tbody", *rows)
    return element("div", element("table", element("thead", head), body, class_=class_), class_="wide")


def row(
    cells: Sequence[str], *, numbers: Sequence[int] = (), ids: Sequence[int] = (), long: Sequence[int] = ()
) -> Html:
    """Return one row.

    Columns in `numbers` are aligned right, those in `ids` are set in one letter width; `ids` and `long` may break
    inside a word.
    """
    kinds = {**dict.fromkeys(ids, "id"), **dict.fromkeys(long, "long"), **dict.fromkeys(numbers, "number")}
    return element("tr", *(element("td", cell, class_=kinds.get(index)) for index, cell in enumerate(cells)))


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """Return a line of (class of the swatch, meaning)."""
    return element(
        "div",
        join(element("span", element("i", class_=f"swatch {kind}"), meaning) for kind, meaning in entries),
        class_="legend",
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
    """Return a duration as a person says it: 0.4 s, 75 s, 12 min, 3 h 20 min."""
    if seconds is None:
        return NOTHING
    minutes = round(seconds / 60)
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004
