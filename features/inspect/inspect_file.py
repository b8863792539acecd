"""Chooses how to look at a published file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from features.inspect.result import Found, Look

KINDS = ".h5 (embedding and prediction shards), .tar (decoded shards) and .jsonl (records, downloads, texts, ...)"


def look_at(path: Path, look: Look) -> Found:
    """Return what a published file holds, and one of its clips.

    Raises:
        SourceError: It is no file of a run, or does not hold the clip.
        ShardError: It is damaged.
    """
    if path.suffix == ".h5":
        return _look_at_hdf5(path, look)
    if path.suffix == ".tar":
        from features.inspect.inspect_decoded import look_at_decoded  # noqa: PLC0415 - loads the codec libraries

        return look_at_decoded(path, look)
    if path.suffix == ".jsonl":
        from features.inspect.inspect_rows import look_at_rows  # noqa: PLC0415 - as the others

        return look_at_rows(path, look)
    raise SourceError(f"{path} is no shard: inspect reads {KINDS}")


def _look_at_hdf5(path: Path, look: Look) -> Found:
    from features.formats.hdf5_shard import ShardReader  # noqa: PLC0415 - loads HDF5
    from features.inspect.inspect_embeddings import look_at_embeddings  # noqa: PLC0415 - loads HDF5
    from features.inspect.inspect_predictions import look_at_predictions  # noqa: PLC0415 - loads HDF5

    reader = ShardReader(path)
    try:
        kind = look_at_embeddings if "modality" in reader.attributes else look_at_predictions
        return kind(reader, look)
    finally:
        reader.close()
