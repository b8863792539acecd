"""What an older embedding shard of the same recipe still holds of a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features.base.errors import ShardError
from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class EmbeddedBefore:
    """The clips of an older embedding shard that were embedded without any complaint.

    Args:
        path: The older shard; ``None`` = there is none, and nothing is found.
        attributes: What makes the new shard. A shard that says anything else of itself (another network, runtime
            or version) or that is damaged gives nothing.
    """

    def __init__(self, path: Path | None, attributes: Mapping[str, str | int]) -> None:
        self._positions: dict[tuple[str, bytes], int] = {}
        self._codes: dict[int, str] = {}
        self._expected: list[int] = []
        self._has_tokens = False
        self._readers = [] if path is None else [ShardReader(path)]
        for reader in self._readers:
            try:
                self._index(reader, attributes)
            except ShardError:
                # Nothing is lost: the clips are embedded again.
                self._positions = {}

    def _index(self, reader: ShardReader, attributes: Mapping[str, str | int]) -> None:
        found = reader.attributes
        if any(found.get(name) != value for name, value in attributes.items()):
            return
        self._expected = reader.expected.tolist()
        self._has_tokens = reader.has_tokens
        rows = zip(reader.outcomes, reader.input_digests, strict=True)
        for position, (outcome, digest) in enumerate(rows):
            if outcome.status == "ok":
                self._positions[outcome.clip_id, digest] = position
                self._codes[position] = outcome.code

    def __len__(self) -> int:
        """Return how many clips it holds."""
        return len(self._positions)

    def holds(self, clip_id: str, input_digest: bytes) -> bool:
        """Return whether embedding the clip again would give what is there."""
        return (clip_id, input_digest) in self._positions

    def take(self, clip_id: str, input_digest: bytes) -> tuple[Outcome, ClipFeatures, int]:
        """Return outcome, features and number of expected rows of a clip that it holds.

        Raises:
            KeyError: It does not hold the clip.
            ShardError: The older shard is damaged.
        """
        position = self._positions[clip_id, input_digest]
        (reader,) = self._readers
        column = reader.column
        features = ClipFeatures(
            column("features", position).astype(np.float32),
            column("time_seconds", position),
            column("token_id", position) if self._has_tokens else None,
            column("field_id", position) if self._has_tokens else None,
        )
        return Outcome(clip_id, "ok", self._codes[position]), features, self._expected[position]

    def close(self) -> None:
        """Close the older shard."""
        for reader in self._readers:
            reader.close()
