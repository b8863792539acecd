"""Small pictures of stored clips, for the report, the corpus statistics and ``inspect``."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

from features.formats.matroska import StoredCover, stored_pictures
from features.formats.tar_shard import COVER, MATROSKA, index_tar_shard, read_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from features.formats.clip_data import UInt8
    from features.formats.tar_shard import OpenedClip

PICTURE_PIXELS = 240
JPEG_QUALITY = 80


def clip_pictures(clips: Iterable[OpenedClip], clip_ids: Collection[str]) -> dict[str, bytes]:
    """Return clip id -> JPEG of its middle frame, or of its cover, for the wanted clips among ``clips``.

    A clip of which nothing could be decoded is not in the result.
    """
    pictures: dict[str, bytes] = {}
    for clip in clips:
        if clip.outcome.clip_id in clip_ids:
            pixels = _middle_frame(clip.matroska)
            pixels = _cover(clip.cover) if pixels is None else pixels
            if pixels is not None:
                pictures[clip.outcome.clip_id] = small_jpeg(pixels)
    return pictures


def read_covers(path: Path, clip_ids: Collection[str]) -> dict[str, bytes]:
    """Return clip id -> JPEG of its cover, or of its middle frame, for the wanted clips of a decoded shard.

    Only these clips are read. A clip of which nothing could be decoded is not in the result.

    Raises:
        ShardError: The file is damaged.
    """
    index = index_tar_shard(path)
    pictures: dict[str, bytes] = {}
    for clip_id in clip_ids:
        if clip_id in index:
            pixels = clip_pixels(read_parts(path, index[clip_id]), prefer_cover=True)
            if pixels is not None:
                pictures[clip_id] = small_jpeg(pixels)
    return pictures


def clip_pixels(parts: Mapping[str, bytes], *, prefer_cover: bool = False) -> UInt8 | None:
    """Return the middle frame or the cover of a clip, ``(H, W, 3)`` RGB; ``None`` where it has neither.

    Args:
        parts: Suffix -> bytes, as :func:`read_parts` returns them.
        prefer_cover: Whether a clip that has both is shown by its cover.
    """
    matroska, cover = (io.BytesIO(parts[name]) if name in parts else None for name in (MATROSKA, COVER))
    if prefer_cover and cover is not None:
        return _cover(cover)
    frame = _middle_frame(matroska)
    return _cover(cover) if frame is None else frame


def small_jpeg(pixels: UInt8) -> bytes:
    """Return ``(H, W, 3)`` RGB as a JPEG of at most 240 x 240 pixels."""
    from PIL import Image  # noqa: PLC0415 - only pages with pictures need it

    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _middle_frame(matroska: IO[bytes] | None) -> UInt8 | None:
    frames = [] if matroska is None else list(stored_pictures(matroska))
    return frames[len(frames) // 2].pixels() if frames else None


def _cover(cover: IO[bytes] | None) -> UInt8 | None:
    return None if cover is None else StoredCover(cover.read()).pixels()
