"""The nearest clips of a clip in its shard, as rows and as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.text import one_line
from features.formats.tar_shard import index_tar_shard, read_parts
from features.formats.thumbnails import clip_pixels
from features.inspect.plots.contact_sheet import Cell, small_picture, write_sheet
from features.inspect.result import MAX_TITLE_COLUMNS, Drawing
from features.inspect.similarity import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from features.inspect.result import InspectQuery


def nearest_clips(
    clip_ids: Sequence[str], units: npt.NDArray[np.float32], clip_id: str, query: InspectQuery
) -> list[dict[str, object]]:
    """Return the nearest other clips of a clip by the cosine of ``(N, D)`` unit vectors, nearest first."""
    found = nearest(units, clip_ids.index(clip_id))
    rows: list[dict[str, object]] = []
    for row, cosine in found:
        name = clip_ids[row]
        rows.append({"clip": name, "cosine": round(cosine, 4), **query.labels(name)})
    return rows


def neighbour_drawings(clip_id: str, rows: Sequence[dict[str, object]], query: InspectQuery) -> list[Drawing]:
    """Return the sheet of a clip and its neighbours; nothing without their decoded shard."""
    decoded = query.decoded
    if decoded is None or not rows:
        return []
    lines = {clip_id: _lines("this clip", clip_id, query)}
    for row in rows:
        name = str(row["clip"])
        lines[name] = _lines(f"cosine {row['cosine']:.3f}", name, query)
    return [
        Drawing(
            "nearest",
            "the clip and its nearest clips, by a frame of each",
            lambda path: _write(decoded, lines, query.heading(clip_id), path),
        )
    ]


def _lines(first: str, clip_id: str, query: InspectQuery) -> tuple[str, ...]:
    if not query.records:
        return first, clip_id
    return first, clip_id, query.category(clip_id) or "", one_line(query.title(clip_id), MAX_TITLE_COLUMNS)


def _write(decoded: Path, lines: dict[str, tuple[str, ...]], heading: str, path: Path) -> None:
    clips = index_tar_shard(decoded)
    cells = []
    for clip_id, below in lines.items():
        parts = read_parts(decoded, clips[clip_id]) if clip_id in clips else {}
        cells.append(Cell(_picture(parts), below))
    write_sheet(cells, f"nearest to {heading}", path)


def _picture(parts: dict[str, bytes]) -> Image.Image:
    """Return the middle frame of a clip, else its cover, else grey."""
    from PIL import Image  # noqa: PLC0415 - only pictures need it

    pixels = clip_pixels(parts)
    return Image.new("RGB", (240, 160), (200, 204, 210)) if pixels is None else small_picture(pixels)
