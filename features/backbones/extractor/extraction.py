"""One shard of clips through one extractor: clips in, an embedding shard out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.backbones.extractor.shard_loop import run_shard
from features.base.errors import ShardError
from features.base.modalities import TEXT
from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import NonFiniteError, ShardReader, ShardWriter
from features.formats.reuse import ReusableShard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from features.backbones.extractor.clip_inputs import ClipInput
    from features.backbones.extractor.extractor import Extractor
    from features.backbones.extractor.shard_loop import ShardRun


def extract_shard(
    clips: Iterable[ClipInput],
    extractor: Extractor[Any],
    path: Path,
    attributes: Mapping[str, str | int],
    on_clip: Callable[[], None] = lambda: None,
    reusable: ReusableShard[EmbeddedRow] | None = None,
) -> ShardRun:
    """Write the embedding shard of ``clips`` to ``path`` and return its outcomes.

    Features that are not finite are left out and the clip is ``failed`` with ``non_finite_features``; a clip that
    cannot be read is ``failed`` with ``unreadable_clip``.

    Args:
        clips: Each is done with when the next one is asked for, in another thread.
        extractor: The network.
        path: The new file.
        attributes: What makes the shard.
        on_clip: Called after each clip.
        reusable: Rows of older shards of the same recipe, which are copied and not computed; it is closed.
    """
    has_tokens = attributes.get("modality") == TEXT
    with ExitStack() as stack:
        older = stack.enter_context(ReusableShard() if reusable is None else reusable)
        writer = stack.enter_context(ShardWriter(path, extractor.dim, attributes, has_tokens=has_tokens))
        return run_shard(clips, extractor, extractor.extract, _EmbeddingSink(writer), older, on_clip)


class _EmbeddingSink:
    """Writes features to an embedding shard."""

    def __init__(self, writer: ShardWriter) -> None:
        self._writer = writer

    def add(self, clip: ClipInput, result: ClipFeatures) -> Outcome:
        outcome, expected = clip.outcome, clip.expected or len(result.features)
        if result.problem:
            # Its bytes are what Decode wrote and the checksum holds: this clip alone cannot be used.
            outcome = Outcome(outcome.clip_id, "failed", "unreadable_clip", result.problem)
        try:
            self._writer.add(outcome, result, expected=expected, input_digest=clip.digest)
        except NonFiniteError:
            detail = "the network gave values float16 cannot hold"
            outcome = Outcome(outcome.clip_id, "failed", "non_finite_features", detail)
            empty = ClipFeatures(result.features[:0], result.time_seconds[:0])
            self._writer.add(outcome, empty, expected=clip.expected, input_digest=clip.digest)
        return outcome

    def copy(self, clip: ClipInput, row: EmbeddedRow) -> Outcome:
        self._writer.add(row.outcome, row.features(), expected=row.expected, input_digest=clip.digest)
        return row.outcome


@dataclass(frozen=True)
class EmbeddedRow:
    """The rows of one clip in an embedding shard, read when they are copied.

    Attributes:
        reader: The shard.
        position: The clip's position in it.
        outcome: The clip's outcome.
        expected: Rows that a whole clip would have.
        has_tokens: Whether the rows are tokens of text.
    """

    reader: ShardReader
    position: int
    outcome: Outcome
    expected: int
    has_tokens: bool

    def features(self) -> ClipFeatures:
        """Return the features.

        Raises:
            ShardError: The shard is damaged.
        """
        column = self.reader.column
        return ClipFeatures(
            column("features", self.position).astype(np.float32),
            column("time_seconds", self.position),
            column("token_id", self.position) if self.has_tokens else None,
            column("field_id", self.position) if self.has_tokens else None,
        )


def reusable_embeddings(paths: Iterable[Path], attributes: Mapping[str, str | int]) -> ReusableShard[EmbeddedRow]:
    """Return the clips of older embedding shards that were embedded without any complaint.

    Args:
        paths: The older shards. One with other attributes (another network, runtime or version), or a damaged one,
            has nothing to reuse: its clips are embedded again.
        attributes: What makes the new shard.
    """
    readers = ExitStack()
    reusable: ReusableShard[EmbeddedRow] = ReusableShard(readers.close)
    for path in paths:
        reader = ShardReader(path)
        readers.callback(reader.close)
        try:
            rows = _reusable_rows(reader, attributes)
        except ShardError:
            continue
        for digest, row in rows:
            reusable.add(row.outcome.clip_id, digest, row)
    return reusable


def _reusable_rows(reader: ShardReader, attributes: Mapping[str, str | int]) -> list[tuple[bytes, EmbeddedRow]]:
    found = reader.attributes
    if any(found.get(name) != value for name, value in attributes.items()):
        return []
    rows = zip(reader.outcomes, reader.input_digests, reader.expected.tolist(), strict=True)
    has_tokens = reader.has_tokens
    return [
        (digest, EmbeddedRow(reader, position, outcome, expected, has_tokens))
        for position, (outcome, digest, expected) in enumerate(rows)
        if outcome.status == "ok"
    ]
