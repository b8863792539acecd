"""Small pictures of stored clips, for people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from features.clipfile import read_cover, read_frames
from features.tarshard import read_tar_shard

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from features.tarshard import DecodedClip

PICTURE_PIXELS = 240
JPEG_QUALITY = 80


def clip_pictures(path: Path, clip_ids: Collection[str]) -> dict[str, bytes]:
    """Return clip id -> JPEG of its middle frame, or of its cover, for those clips of a decoded shard.

    A clip of which nothing could be decoded is not in the result.
    """
    pictures: dict[str, bytes] = {}
    for clip in read_tar_shard(path):
        if clip.outcome.clip_id in clip_ids:
            picture = _picture(clip)
            if picture is not None:
                pictures[clip.outcome.clip_id] = picture
    return pictures


def _picture(clip: DecodedClip) -> bytes | None:
    from PIL import Image  # noqa: PLC0415 - only the report needs it

    images = read_frames(clip.matroska) if clip.matroska is not None else None
    if images is None and clip.cover is not None:
        images = read_cover(clip.cover)
    if images is None:
        return None
    image = Image.fromarray(images.images[len(images.images) // 2])
    image.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
