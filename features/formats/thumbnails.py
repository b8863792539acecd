"""Small pictures of stored clips, for people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from features.formats.matroska import StoredCover, stored_pictures

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from features.formats.clip_data import UInt8
    from features.formats.tar_shard import OpenedClip

PICTURE_PIXELS = 240
JPEG_QUALITY = 80


def clip_pictures(clips: Iterable[OpenedClip], clip_ids: Collection[str]) -> dict[str, bytes]:
    """Return clip id -> JPEG of its middle frame, or of its cover, for those of some decoded clips.

    A clip of which nothing could be decoded is not in the result.
    """
    pictures: dict[str, bytes] = {}
    for clip in clips:
        if clip.outcome.clip_id in clip_ids:
            pixels = _pixels(clip)
            if pixels is not None:
                pictures[clip.outcome.clip_id] = _small_jpeg(pixels)
    return pictures


def _pixels(clip: OpenedClip) -> UInt8 | None:
    frames = [] if clip.matroska is None else list(stored_pictures(clip.matroska))
    if frames:
        return frames[len(frames) // 2].pixels()
    return None if clip.cover is None else StoredCover(clip.cover.read()).pixels()


def _small_jpeg(pixels: UInt8) -> bytes:
    from PIL import Image  # noqa: PLC0415 - only the report needs it

    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
