"""The contact sheet: covers and titles of clips of one category, spread over the corpus."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import SourceError
from features.downloads.download_rows import read_downloaded
from features.manifests.categories import other_name
from features.manifests.corpus import read_records
from features.statistics.pictures import downloaded_covers, stored_covers
from pipeline.stats.collect import decoded_shard, downloaded_shard
from tasks.config.run import settings
from tasks.stages.download import media_folders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.records import ClipRecord
    from features.statistics.columns import Columns
    from pipeline.stats.collect import PublishedCorpus
    from tasks.core.receipts import FileReceipt

MAX_NAMED_CATEGORIES = 40


@dataclass(frozen=True)
class SheetClip:
    """One clip on the sheet; ``picture`` is a JPEG, None where there is none yet or nothing could be decoded."""

    clip_id: str
    title: str
    picture: bytes | None


@dataclass(frozen=True)
class ContactSheet:
    """Clips of one category, in the order of the corpus; ``num_clips`` is how many there are in all."""

    category: str
    num_clips: int
    clips: tuple[SheetClip, ...]


def contact_sheet(corpus: PublishedCorpus, category: str | None, num_pictures: int) -> ContactSheet | None:
    """Return a sheet of a category (default: the one with the most clips), ``None`` for a corpus without any.

    The pictures are from Decode where its shards are published, else from the files that Download found.

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
    listed = ", ".join(sorted(names)[:MAX_NAMED_CATEGORIES]) or "nothing: no clip has a category"
    more = ", ..." if len(names) > MAX_NAMED_CATEGORIES else ""
    raise SourceError(f"unknown category {category!r}: expected one of {listed}{more}")


def _by_shard(shards: Sequence[FileReceipt], positions: Sequence[int]) -> list[tuple[FileReceipt, list[int]]]:
    """Return every shard that holds some of the positions, with their places in it."""
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
        pictures = stored_covers(decoded, [record.clip_id for _, record in chosen])
    elif downloaded is not None:
        rows = read_downloaded(downloaded)
        pictures = downloaded_covers(
            [rows[place] for place, _ in chosen], settings().decode, media_folders(corpus.stage)
        )
    return [SheetClip(record.clip_id, record.title, pictures.get(record.clip_id)) for _, record in chosen]
