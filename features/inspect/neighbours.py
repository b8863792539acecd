"""The clips of a shard that are nearest to one of them, in words and as pictures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from features.analysis.similarity import nearest
from features.formats.matroska import read_cover, stored_pictures
from features.formats.tar_shard import COVER, MATROSKA, index_tar_shard
from features.inspect.inspect_decoded import read_parts
from features.inspect.result import Drawing, one_line
from features.plots.contact_sheet import Cell, small_picture, write_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from features.inspect.result import Look


def nearest_clips(
    clip_ids: Sequence[str], units: npt.NDArray[np.float32], clip_id: str, look: Look
) -> list[dict[str, object]]:
    """Return the clips nearest to one by the cosine of ``(N, D)`` unit vectors, nearest first, itself left out."""
    found = nearest(units, clip_ids.index(clip_id))
    rows: list[dict[str, object]] = []
    for row, cosine in found:
        name = clip_ids[row]
        rows.append({"clip": name, "cosine": round(cosine, 4), **look.labels(name)})
    return rows


def neighbour_drawings(clip_id: str, rows: Sequence[dict[str, object]], look: Look) -> list[Drawing]:
    """Return the sheet of a clip and its neighbours, where their decoded shard is at hand."""
    decoded = look.decoded
    if decoded is None or not rows:
        return []
    lines = {clip_id: _lines("this clip", clip_id, look)}
    for row in rows:
        name = str(row["clip"])
        lines[name] = _lines(f"cosine {row['cosine']:.3f}", name, look)
    return [
        Drawing(
            "nearest",
            "the clip and those nearest to it, by a frame of each",
            lambda path: _write(decoded, lines, look.heading(clip_id), path),
        )
    ]


def _lines(first: str, clip_id: str, look: Look) -> tuple[str, ...]:
    if not look.records:
        return first, clip_id
    return first, clip_id, look.category(clip_id) or "", one_line(look.title(clip_id))


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

    pictures = list(stored_pictures(io.BytesIO(parts[MATROSKA]))) if MATROSKA in parts else []
    if pictures:
        return small_picture(pictures[len(pictures) // 2].pixels())
    if COVER in parts:
        return small_picture(read_cover(parts[COVER]).images[0])
    return Image.new("RGB", (240, 160), (200, 204, 210))
