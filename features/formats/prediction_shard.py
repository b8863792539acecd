"""HDF5 shards of scores and embeddings, and the uncalibrated scores beside each."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import ShardError
from features.formats.hdf5_shard import Hdf5File, write_hdf5

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt


@dataclass(frozen=True)
class PredictionShard:
    """Scores and embeddings of N clips.

    Attributes:
        clip_ids: The clips.
        categories: K category names, empty without that head.
        tags: C tag names, empty without that head.
        category_scores: ``(N, K)`` float32, rows sum to 1.
        tag_scores: ``(N, C)`` float32 in [0, 1].
        embedding: ``(N, E)`` float32 of length 1; E is 0 where it was not read.
    """

    clip_ids: tuple[str, ...]
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    category_scores: npt.NDArray[np.float32]
    tag_scores: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]


_ARRAYS = ("category_scores", "tag_scores", "embedding")
_TEXTS = {"clip_ids": "clip_id", "categories": "category_name", "tags": "tag_name"}


def write_predictions(path: Path, shard: PredictionShard, attributes: Mapping[str, str | int]) -> None:
    """Write scores and embeddings: the arrays under their names, and the names of clips and labels."""
    arrays = {name: getattr(shard, name) for name in _ARRAYS}
    texts = {stored: getattr(shard, name) for name, stored in _TEXTS.items()}
    write_hdf5(path, arrays, texts, attributes)


def read_predictions(path: Path, *, with_embedding: bool = True) -> PredictionShard:
    """Return what :func:`write_predictions` wrote.

    Args:
        path: Of the file.
        with_embedding: Whether the embeddings are read, which may be many times as large as all scores.

    Raises:
        ShardError: The file is missing, damaged, or of another schema version.
    """
    file = Hdf5File(path)
    try:
        file.checked_attributes()
        clip_ids = file.texts("clip_id")
        nothing = np.zeros((len(clip_ids), 0), np.float32)
        return PredictionShard(
            clip_ids=clip_ids,
            categories=file.texts("category_name"),
            tags=file.texts("tag_name"),
            category_scores=file.read("category_scores"),
            tag_scores=file.read("tag_scores"),
            embedding=file.read("embedding") if with_embedding else nothing,
        )
    finally:
        file.close()


def join_predictions(shards: Sequence[PredictionShard]) -> PredictionShard:
    """Return the clips of several shards as one, in order; there must be at least one.

    Raises:
        ShardError: The shards have other labels or widths.
    """
    first = shards[0]
    for shard in shards[1:]:
        same_labels = (shard.categories, shard.tags) == (first.categories, first.tags)
        if not same_labels or shard.embedding.shape[1] != first.embedding.shape[1]:
            raise ShardError("prediction shards have different labels or widths: run Predict again")
    return PredictionShard(
        clip_ids=tuple(clip_id for shard in shards for clip_id in shard.clip_ids),
        categories=first.categories,
        tags=first.tags,
        category_scores=np.concatenate([shard.category_scores for shard in shards]),
        tag_scores=np.concatenate([shard.tag_scores for shard in shards]),
        embedding=np.concatenate([shard.embedding for shard in shards]),
    )


def write_uncalibrated(path: Path, category_scores: npt.NDArray[np.float32], key: str) -> None:
    """Write the category scores of a shard's clips before calibration.

    Args:
        path: Of the file.
        category_scores: ``(N, K)``.
        key: Of the shard: the scores are those of its clips and of its networks.
    """
    with path.open("wb") as stream:
        np.savez(stream, category_scores=category_scores, key=np.array(key))


def read_uncalibrated(keys: Mapping[Path, str]) -> npt.NDArray[np.float32] | None:
    """Return the scores of the clips of several shards, ``(N, K)``, in order.

    Args:
        keys: File -> key of its shard; at least one.

    Returns:
        The scores; None where a file is missing, damaged, or of a shard with another key.
    """
    parts = []
    for path, key in keys.items():
        try:
            # Opened here: given a path, numpy leaves the file of a damaged archive open.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                if str(file["key"]) != key:
                    return None
                parts.append(file["category_scores"])
        # The archive has a checksum of each array, which is compared as it is read.
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
    return np.concatenate(parts)
