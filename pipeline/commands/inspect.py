"""What a published file holds, for a person: schema, provenance, one clip closely, and pictures."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.base.errors import SourceError, ToolError
from models.rendering.terminal_table import render_table, shorten
from pipeline.commands.lineage import Lineage, find_lineage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from features.inspect.result import Drawing, Found

# A file of rows has no pictures, and is its own account of the clips.
ROWS_SUFFIX = ".jsonl"
MAX_NUMBERS_SHOWN = 10
MAX_ROWS_SHOWN = 20
MAX_CELL_COLUMNS = 60
MAX_TEXT_COLUMNS = 300


@dataclass(frozen=True)
class Inspection:
    """What to look at, and which pictures to write.

    Attributes:
        file: The published file.
        clip_id: The clip to look at closely; ``None`` = the first that has something to show.
        png: Where the most telling picture is written, ``None`` for nowhere.
        pictures: The folder in which every picture is written, ``None`` for none; it is made if it is not there.
        projection: How the scatter plot comes about, ``pca`` or ``tsne``.
    """

    file: Path
    clip_id: str | None = None
    png: Path | None = None
    pictures: Path | None = None
    projection: str = "pca"


def inspect_file(wanted: Inspection) -> dict[str, Any]:
    """Return what a published file holds as JSON values, after writing the pictures that were asked for.

    Raises:
        SourceError: There is no such file, it is none of a run, it does not hold the clip, or a picture cannot be
            written.
        ShardError: The file is damaged.
        ToolError: A package that the pictures need is not installed.
    """
    from features.inspect.inspect_file import look_at  # noqa: PLC0415 - loads what the file needs
    from features.inspect.result import Look  # noqa: PLC0415 - as above

    path, png = wanted.file, wanted.png
    if not path.is_file():
        raise SourceError(f"{path} is not a file: give a shard, such as <root>/extract-frames/latest/shard-00000.h5")
    if png is not None and (png.suffix != ".png" or not png.absolute().parent.is_dir()):
        raise SourceError(f"cannot write a picture to {png}: give a name that ends in .png in a folder that exists")
    around = Lineage() if path.suffix == ROWS_SUFFIX else find_lineage(path)
    found = look_at(path, Look(wanted.clip_id, around.records, around.decoded, wanted.projection))
    values: dict[str, Any] = {"file": str(path)}
    if around.records_file is not None:
        values["labels_from"] = str(around.records_file)
    return {**values, **found.values, **_write_pictures(found, wanted)}


def _write_pictures(found: Found, wanted: Inspection) -> dict[str, Any]:
    if wanted.png is None and wanted.pictures is None:
        return {}
    if not found.drawings:
        raise SourceError(
            f"{wanted.file} has nothing to draw here: give a shard (.h5 or .tar), and with --clip a clip that has"
            " features or could be decoded"
        )
    result: dict[str, Any] = {}
    if wanted.png is not None:
        _draw(found.drawings[0], wanted.png)
        result["picture"] = str(wanted.png)
    if wanted.pictures is not None:
        result |= _write_all(found.drawings, wanted.pictures)
    return result


def _write_all(drawings: Sequence[Drawing], folder: Path) -> dict[str, Any]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"cannot make the folder {folder} ({error.strerror}): give another one") from error
    rows, problem = [], None
    for drawing in drawings:
        path = folder / f"{drawing.name}.png"
        try:
            _draw(drawing, path)
        except ToolError as error:
            problem = error
        else:
            rows.append({"picture": str(path), "shows": drawing.shows})
    if problem is not None and not rows:
        raise problem
    missing = {} if problem is None else {"pictures_left_out": str(problem)}
    return {"pictures": rows, **missing}


def _draw(drawing: Drawing, path: Path) -> None:
    try:
        drawing.draw(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(f"cannot write a picture to {path} ({reason}): give another place") from error


def render_inspection(found: Mapping[str, Any]) -> str:
    """Return what :func:`inspect_file` found as text; long lists are cut, ``--json`` has them whole."""
    parts: list[str] = []
    for name, value in found.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            parts += ["", title, *(f"  {key:<24} {_short(key, item)}" for key, item in value.items())]
        elif isinstance(value, list):
            parts += ["", title, *(f"  {line}" for line in _table(value))]
        else:
            parts.append(f"{title:<14} {value}")
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return ["(none)"]
    # What is empty in every row is left out.
    headers = list(dict.fromkeys(key for row in rows for key, value in row.items() if value not in ("", [], {}, None)))
    cells = [[_cell(key, row.get(key)) for key in headers] for row in rows[:MAX_ROWS_SHOWN]]
    lines = render_table(headers, cells, max_column_width=MAX_CELL_COLUMNS).splitlines()
    if len(rows) > MAX_ROWS_SHOWN:
        lines.append(f"... and {len(rows) - MAX_ROWS_SHOWN} more, which --json lists")
    return lines


def _cell(key: str, value: object) -> object:
    return value if isinstance(value, (int, float)) or value is None else _short(key, value)


def _short(key: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return " ".join(_short(name, item) for name, item in value.items() if item not in ("", [], {}, None))
    if isinstance(value, (list, tuple)):
        between = " x " if key.endswith("shape") else _between(value)
        shown = between.join(_short("", item) for item in value[:MAX_NUMBERS_SHOWN])
        return f"{shown} ... ({len(value)})" if len(value) > MAX_NUMBERS_SHOWN else shown
    return "-" if value is None else _printable(str(value))


def _between(values: Sequence[object]) -> str:
    words = all(isinstance(value, str) for value in values)
    return ", " if words or isinstance(values[0], (list, tuple, dict)) else " "


def _printable(text: str) -> str:
    """Return text in one line, cut, without anything that moves the cursor."""
    shown = shorten(text[: 2 * MAX_TEXT_COLUMNS], MAX_TEXT_COLUMNS)
    return "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in shown)
