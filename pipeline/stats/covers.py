"""The contact sheet: covers and titles of clips of one category, evenly spread over the corpus."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import SourceError
from features.base.parallel import WorkerPool, num_cpus
from features.decoding.shard import decode_shard
from features.downloads.download import locate_unchanged
from features.downloads.download_rows import read_downloaded
from features.formats.matroska import read_covers
from features.manifests.categories import other_name
from features.manifests.corpus import read_records
from pipeline.stats.collect import decoded_shard, downloaded_shard
from tasks.config.run import settings
from tasks.stages.download import media_folders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from features.decoding.config import DecodeConfig
    from features.downloads.download_rows import DownloadedClip, MediaFile
    from features.formats.records import ClipRecord
    from features.statistics.columns import Columns
    from pipeline.stats.collect import PublishedCorpus
    from tasks.core.receipts import FileReceipt

MAX_NAMED_CATEGORIES = 40


@dataclass(frozen=True)
class SheetClip:
    """One clip on the sheet; ``picture`` is a JPEG, None before Download or for an undecodable clip."""

    clip_id: str
    title: str
    picture: bytes | None


@dataclass(frozen=True)
class ContactSheet:
    """Clips of one category, in the order of the corpus; ``num_clips`` is their number in the corpus."""

    category: str
    num_clips: int
    clips: tuple[SheetClip, ...]


def contact_sheet(corpus: PublishedCorpus, category: str | None, num_pictures: int) -> ContactSheet | None:
    """Return a sheet of a category (default: the most frequent one), ``None`` for a corpus without categories.

    The pictures come from the decoded shards where they are published, else from the downloaded files.

    Raises:
        SourceError: The corpus has no such category.
        ShardError: A published file is damaged.
        ToolError: ffmpeg itself cannot be run.
    """
    if not corpus.columns.category_names and category is None:
        return None
    number = _category_number(corpus.columns, category)
    positions = np.flatnonzero(corpus.columns.category == number)
    steps = np.linspace(0, len(positions) - 1, min(num_pictures, len(positions)))
    chosen = positions[np.rint(steps).astype(np.int64)].tolist()
    clips: list[SheetClip] = []
    for shard, places in _by_shard(corpus.shards(), chosen):
        records = read_records(corpus.stage.folder / shard.name)
        clips += _shard_clips(corpus, shard, [(place, records[place]) for place in places])
    return ContactSheet(corpus.columns.category_names[number], len(positions), tuple(clips))


def _category_number(columns: Columns, category: str | None) -> int:
    if category is None:
        return int(np.bincount(columns.category[columns.category >= 0]).argmax())
    names = columns.category_names
    other = other_name(category)
    for number, name in enumerate(names):
        if name == other or name.casefold() == category.casefold():
            return number
    listed = ", ".join(sorted(names)[:MAX_NAMED_CATEGORIES]) or "none: no clip has a category"
    more = ", ..." if len(names) > MAX_NAMED_CATEGORIES else ""
    raise SourceError(f"unknown category {category!r}: expected one of {listed}{more}")


def _by_shard(shards: Sequence[FileReceipt], positions: Sequence[int]) -> list[tuple[FileReceipt, list[int]]]:
    """Return each shard with some of the positions, and their rows in it."""
    starts = np.cumsum([0, *(shard.rows for shard in shards)])
    places: dict[int, list[int]] = defaultdict(list)
    for position in positions:
        number = int(np.searchsorted(starts, position, side="right")) - 1
        places[number].append(position - int(starts[number]))
    return [(shards[number], found) for number, found in places.items()]


def _shard_clips(
    corpus: PublishedCorpus, shard: FileReceipt, chosen: Sequence[tuple[int, ClipRecord]]
) -> list[SheetClip]:
    decoded, downloaded = decoded_shard(shard), downloaded_shard(shard)
    pictures: dict[str, bytes] = {}
    if decoded is not None:
        pictures = read_covers(decoded, [record.clip_id for _, record in chosen])
    elif downloaded is not None:
        rows = read_downloaded(downloaded)
        pictures = _downloaded_covers(
            [rows[place] for place, _ in chosen], settings().decode, media_folders(corpus.stage)
        )
    return [SheetClip(record.clip_id, record.title, pictures.get(record.clip_id)) for _, record in chosen]


def _downloaded_covers(
    clips: Iterable[DownloadedClip], config: DecodeConfig, folders: Mapping[str, Path]
) -> dict[str, bytes]:
    """Return clip id -> JPEG of the cover, or else of a frame, which ffmpeg decodes now with the guards of Decode.

    A clip that cannot be decoded, or whose files were changed or deleted, is not in the result.

    Raises:
        ToolError: ffmpeg cannot be run.
    """
    # A clip with a cover needs no video, and of a video one frame is enough.
    sources = [replace(clip, video=None) if clip.cover is not None else clip for clip in clips]

    def locate(file: MediaFile) -> Path:
        return locate_unchanged(file, folders[file.where])

    with tempfile.TemporaryDirectory(prefix="covers-") as folder, WorkerPool(config.workers or num_cpus()) as pool:
        path = Path(folder, "covers.tar")
        decode_shard(sources, replace(config.without_dense_frames(), num_frames=0, max_frames=1), locate, path, pool)
        return read_covers(path, [clip.outcome.clip_id for clip in sources])
