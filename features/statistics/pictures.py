"""Small covers of chosen clips for a contact sheet, from decoded shards or from the downloaded files."""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from features.base.parallel import WorkerPool, num_cpus
from features.decoding.shard import decode_shard
from features.downloads.download import locate_unchanged
from features.formats.matroska import read_cover, read_frames
from features.formats.tar_shard import index_tar_shard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from features.decoding.config import DecodeConfig
    from features.downloads.download_rows import DownloadedClip, MediaFile

THUMBNAIL_PIXELS = 240
JPEG_QUALITY = 80


def stored_covers(path: Path, clip_ids: Collection[str]) -> dict[str, bytes]:
    """Return clip id -> JPEG of the cover, or else of the first frame, for those clips of a decoded shard.

    Only these clips are read, the rest of the file is passed over. A clip of which nothing could be decoded
    is not in the result.

    Raises:
        ShardError: The file is damaged.
    """
    index = index_tar_shard(path)
    pictures: dict[str, bytes] = {}
    with path.open("rb") as stream:
        for clip_id in clip_ids:
            stored = index.get(clip_id)
            picture = None if stored is None else _thumbnail(stored.parts, stream)
            if picture is not None:
                pictures[clip_id] = picture
    return pictures


def downloaded_covers(
    clips: Iterable[DownloadedClip], config: DecodeConfig, folders: Mapping[str, Path]
) -> dict[str, bytes]:
    """Return clip id -> JPEG of the cover, or else of the first frame, decoded now by ffmpeg with all its guards.

    A clip that cannot be decoded, or whose files have changed or gone since, is not in the result.

    Raises:
        ToolError: ffmpeg cannot be run.
    """
    # Where there is a cover nobody needs the video, and of a video one frame will do.
    sources = [replace(clip, video=None) if clip.cover is not None else clip for clip in clips]

    def locate(file: MediaFile) -> Path:
        return locate_unchanged(file, folders[file.where])

    with tempfile.TemporaryDirectory(prefix="covers-") as folder, WorkerPool(config.workers or num_cpus()) as pool:
        path = Path(folder, "covers.tar")
        decode_shard(
            sources, replace(config, num_frames=0, max_frames=1, motion_frames_per_second=0.0), locate, path, pool
        )
        return stored_covers(path, [clip.outcome.clip_id for clip in sources])


def _thumbnail(parts: Mapping[str, tuple[int, int]], stream: IO[bytes]) -> bytes | None:
    """Return a small JPEG of what Decode wrote: pictures of strangers never come here."""
    from PIL import Image  # noqa: PLC0415 - only the page needs it

    images = None
    for name, read in (("cover.jpg", read_cover), ("mkv", read_frames)):
        if images is None and name in parts:
            position, size = parts[name]
            stream.seek(position)
            images = read(stream.read(size))
    if images is None:
        return None
    image = Image.fromarray(images.images[0])
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
