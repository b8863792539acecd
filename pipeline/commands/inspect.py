"""``python -m pipeline inspect``: schema and provenance of a published file, one clip in detail, and pictures."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.base.errors import SourceError
from features.base.text import shorten
from models.rendering.terminal_table import render_table
from pipeline.commands.lineage import Lineage, find_lineage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from features.inspect.result import Drawing, InspectResult

# A file of rows has no pictures and needs no other file for its labels.
ROWS_SUFFIX = ".jsonl"
MAX_NUMBERS_SHOWN = 10
MAX_ROWS_SHOWN = 20
MAX_CELL_COLUMNS = 60
MAX_TEXT_COLUMNS = 300


@dataclass(frozen=True)
class Inspection:
    """What to inspect, and which pictures to write.

    Attributes:
        file: The published file.
        clip_id: The clip to inspect in detail; ``None`` = the first with features, frames or a row.
        png: File for the first picture, ``None`` for none.
        pictures: Folder for all pictures, ``None`` for none; created if it is missing.
        projection: Projection of the scatter plot, ``pca`` or ``tsne``.
    """

    file: Path
    clip_id: str | None = None
    png: Path | None = None
    pictures: Path | None = None
    projection: str = "pca"


def inspect_file(wanted: Inspection) -> dict[str, Any]:
    """Return the content of a published file as JSON values, after writing the requested pictures.

    Raises:
        SourceError: There is no such file, it is not a file of a run, it has no such clip, or a picture cannot be
            written.
        ShardError: The file is damaged.
    """
    from features.inspect.inspect_file import inspect_path  # noqa: PLC0415 - loads what the file needs
    from features.inspect.result import InspectQuery  # noqa: PLC0415 - as above

    path, png = wanted.file, wanted.png
    if not path.is_file():
        raise SourceError(f"{path} is not a file: give a shard, such as <root>/extract-frames/latest/shard-00000.h5")
    if png is not None and (png.suffix != ".png" or not png.absolute().parent.is_dir()):
        raise SourceError(f"cannot write a picture to {png}: give a name that ends in .png in a folder that exists")
    around = Lineage() if path.suffix == ROWS_SUFFIX else find_lineage(path)
    found = inspect_path(path, InspectQuery(wanted.clip_id, around.records, around.decoded, wanted.projection))
    values: dict[str, Any] = {"file": str(path)}
    if around.records_file is not None:
        values["labels_from"] = str(around.records_file)
    return {**values, **found.values, **_write_pictures(found, wanted)}


def _write_pictures(found: InspectResult, wanted: Inspection) -> dict[str, Any]:
    if wanted.png is None and wanted.pictures is None:
        return {}
    if not found.drawings:
        raise SourceError(
            f"{wanted.file} has no pictures: give a shard (.h5 or .tar), and with --clip a clip that has"
            " features or was decoded"
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
    rows = []
    for drawing in drawings:
        path = folder / f"{drawing.name}.png"
        _draw(drawing, path)
        rows.append({"picture": str(path), "shows": drawing.caption})
    return {"pictures": rows}


def _draw(drawing: Drawing, path: Path) -> None:
    try:
        drawing.draw(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(f"cannot write a picture to {path} ({reason}): give another place") from error


def render_inspection(found: Mapping[str, Any]) -> str:
    """Return the result of :func:`inspect_file` as text; long lists are cut, ``--json`` prints them whole."""
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
    # Columns that are empty in every row are left out.
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
