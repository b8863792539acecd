"""Public names for reading embedding shards: ``from features.shards import ShardReader``."""

from __future__ import annotations

from features.formats.hdf5_shard import ShardReader

__all__ = ["ShardReader"]
