"""What a published shard holds, for a person: schema, provenance, and one clip closely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.errors import SourceError
from models.tables import render_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KINDS = ".h5 (embedding and prediction shards) and .tar (decoded shards)"


def inspect_file(path: Path, clip_id: str | None, png: Path | None) -> dict[str, Any]:
    """Return what a shard holds, and a close look at one clip; write that clip as a picture to ``png``.

    Raises:
        SourceError: There is no such file, it is no shard, or it does not hold the clip.
        ShardError: The file is damaged.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not a file: give a shard, such as <root>/extract-frames/latest/shard-00000.h5")
    if png is not None and (png.suffix != ".png" or not png.absolute().parent.is_dir()):
        raise SourceError(f"cannot write a picture to {png}: give a name that ends in .png in a folder that exists")
    if path.suffix == ".h5":
        from features.looking import look_at_hdf5  # noqa: PLC0415 - loads HDF5

        return look_at_hdf5(path, clip_id, png)
    if path.suffix == ".tar":
        from features.looking import look_at_tar  # noqa: PLC0415 - loads HDF5

        return look_at_tar(path, clip_id, png)
    raise SourceError(f"{path} is no shard: inspect reads {KINDS}")


def render_inspection(found: Mapping[str, Any]) -> str:
    """Return what :func:`inspect_file` found as text."""
    parts: list[str] = []
    for name, value in found.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            parts += ["", title, *(f"  {key:<22} {_short(item)}" for key, item in value.items())]
        elif isinstance(value, list):
            headers = list(value[0]) if value else ["(none)"]
            table = render_table(headers, [[row[key] for key in headers] for row in value])
            parts += ["", title, *(f"  {line}" for line in table.splitlines())]
        else:
            parts.append(f"{title:<14} {value}")
    return "\n".join(parts)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
