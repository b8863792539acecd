"""One shard of clips through one frozen network: clips in, an embedding shard out."""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.base.outcomes import Outcome
from features.base.prefetch import close_iterator
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardWriter, to_float16
from features.formats.reuse import EmbeddedBefore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from features.backbones.extractor.clip_inputs import ClipInput
    from features.backbones.extractor.extractor import Extractor


@dataclass(frozen=True)
class Extraction:
    """The account of one shard.

    Attributes:
        outcomes: One a clip.
        num_reused: Clips whose features were taken from the older shard.
        seconds: Wall time.
    """

    outcomes: tuple[Outcome, ...]
    num_reused: int
    seconds: float


def extract_shard(
    clips: Iterable[ClipInput],
    extractor: Extractor[Any],
    path: Path,
    attributes: Mapping[str, str | int],
    on_clip: Callable[[], None] = lambda: None,
    before: EmbeddedBefore | None = None,
) -> Extraction:
    """Write the embedding shard of ``clips`` to ``path`` and return its account.

    Features that are not finite are left out and the clip is ``failed`` with ``non_finite_features``; a clip that
    cannot be read is ``failed`` with ``unreadable_clip``.

    Args:
        clips: Each is done with when the next one is asked for, in another thread.
        extractor: The network.
        path: The new file.
        attributes: What makes the shard.
        on_clip: Called after each clip.
        before: An older shard of the same recipe; what it holds is copied and not computed.
    """
    started = time.perf_counter()
    before = EmbeddedBefore(None, {}) if before is None else before
    waiting: deque[ClipInput] = deque()
    outcomes: list[Outcome] = []
    num_reused = 0
    has_tokens = attributes.get("modality") == "text"
    with ExitStack() as stack:
        stack.callback(close_iterator, clips)
        stack.enter_context(closing(before))
        writer = stack.enter_context(ShardWriter(path, extractor.dim, attributes, has_tokens=has_tokens))
        embedded = extractor.extract(_values(clips, waiting, before))
        stack.callback(close_iterator, embedded)
        for found in embedded:
            clip = waiting.popleft()
            if _is_known(clip, before):
                outcome, kept, expected = before.take(clip.outcome.clip_id, clip.digest)
                num_reused += 1
            else:
                outcome, kept = _checked(clip, found)
                expected = clip.expected or len(kept.features)
            writer.add(outcome, kept, expected=expected, input_digest=clip.digest)
            outcomes.append(outcome)
            on_clip()
    return Extraction(tuple(outcomes), num_reused, time.perf_counter() - started)


def _checked(clip: ClipInput, found: ClipFeatures) -> tuple[Outcome, ClipFeatures]:
    clip_id = clip.outcome.clip_id
    if found.problem:
        # Its bytes are what Decode wrote and the checksum holds: this clip alone cannot be used.
        return Outcome(clip_id, "failed", "unreadable_clip", found.problem), found
    if np.isfinite(to_float16(found.features)).all():
        return clip.outcome, found
    outcome = Outcome(clip_id, "failed", "non_finite_features", "the network gave values float16 cannot hold")
    return outcome, ClipFeatures(found.features[:0], found.time_seconds[:0])


def _values(clips: Iterable[ClipInput], waiting: deque[ClipInput], before: EmbeddedBefore) -> Iterator[Any]:
    """Yield what the extractor takes, and remember the clips in flight without it."""
    for clip in clips:
        waiting.append(clip.without_value())
        yield None if _is_known(clip, before) else clip.value


def _is_known(clip: ClipInput, before: EmbeddedBefore) -> bool:
    return clip.outcome.status == "ok" and before.holds(clip.outcome.clip_id, clip.digest)
