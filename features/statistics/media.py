"""Results of Download and Decode so far: sizes of files, and durations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import ShardError
from features.formats.tar_shard import index_tar_shard
from features.statistics.columns import MEDIA, Bools, Int64
from features.statistics.counts import Durations, summarise_durations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# The headers of a shard of 1,000 clips are read in about 0.1 s of CPU time; a large corpus has hundreds of shards.
MAX_SAMPLED_SHARDS = 20


@dataclass(frozen=True)
class MediaColumns:
    """N clips in the order of the records.

    Attributes:
        tried: ``(N,)`` whether Download has published a row for the clip.
        bytes: For ``video`` and ``cover`` ``(N,)`` the size of the file, -1 where there is none.
    """

    tried: Bools
    bytes: Mapping[str, Int64]

    def found(self) -> dict[str, int]:
        """Return the number of clips with a stored file, by kind of media."""
        return {name: int((sizes >= 0).sum()) for name, sizes in self.bytes.items()}


def read_media(shards: Sequence[tuple[Path | None, int]]) -> MediaColumns:
    """Return the columns of the rows that Download has published.

    Args:
        shards: For each record shard the file of its download rows, ``None`` before it is published, and the
            number of its clips.

    Raises:
        ShardError: A file is damaged, or has another number of rows.
    """
    num_clips = sum(rows for _, rows in shards)
    tried = np.zeros(num_clips, np.bool_)
    sizes = {name: np.full(num_clips, -1, np.int64) for name in MEDIA}
    start = 0
    for path, rows in shards:
        if path is not None:
            found = _sizes(path)
            if len(found) != rows:
                raise ShardError(f"{path} has {len(found)} rows, its records are {rows}: delete it and run again")
            tried[start : start + rows] = True
            for number, name in enumerate(MEDIA):
                sizes[name][start : start + rows] = [row[number] for row in found]
        start += rows
    return MediaColumns(tried, sizes)


def _sizes(path: Path) -> list[list[int]]:
    """Return for each row the sizes of its ``MEDIA``, -1 for none.

    Only the sizes are parsed: a whole ``DownloadedClip`` takes nearly three times as long.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            rows = (json.loads(line) for line in stream)
            return [[row[name]["bytes"] if row[name] else -1 for name in MEDIA] for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"{path} is damaged ({error}): delete it and run again") from error


@dataclass(frozen=True)
class DecodedDurations:
    """Durations of decoded clips, from ``shards`` of the ``of_shards`` published shards."""

    shards: int
    of_shards: int
    durations: Durations


def decoded_durations(paths: Sequence[Path]) -> DecodedDurations | None:
    """Return the durations in decoded shards, a sample of at most 20, evenly spread; ``None`` without a shard.

    Raises:
        ShardError: A file is damaged.
    """
    if not paths:
        return None
    count = min(len(paths), MAX_SAMPLED_SHARDS)
    chosen = np.rint(np.linspace(0, len(paths) - 1, count)).astype(np.int64).tolist()
    rows = [row for number in chosen for row in _durations(paths[number])]
    seconds = np.array([np.nan if row is None else row for row in rows], np.float64)
    return DecodedDurations(count, len(paths), summarise_durations(seconds))


def _durations(path: Path) -> list[float | None]:
    """Return one duration a clip; pictures and sound are skipped."""
    return [clip.about.get("duration_seconds") for clip in index_tar_shard(path).values()]
