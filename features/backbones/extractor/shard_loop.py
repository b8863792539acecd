"""The loop over the clips of one shard: a model's results are written in order, rows of older shards are reused."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from features.base.parallel import close_iterator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from features.backbones.extractor.clip_inputs import ClipInput
    from features.base.outcomes import Outcome
    from features.formats.reuse import ReusableShard

ResultT = TypeVar("ResultT")
ResultT_contra = TypeVar("ResultT_contra", contravariant=True)
RowT = TypeVar("RowT")
RowT_contra = TypeVar("RowT_contra", contravariant=True)


class Model(Protocol):
    """What an extractor and a recognizer have in common."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the results come about."""
        ...

    @property
    def network_seconds(self) -> float:
        """Wall time in which the network ran since it was loaded."""
        ...


class Sink(Protocol[ResultT_contra, RowT_contra]):
    """Writes the rows of a new shard."""

    def add(self, clip: ClipInput, result: ResultT_contra) -> Outcome:
        """Write what the model made of a clip, and return its outcome."""
        ...

    def copy(self, clip: ClipInput, row: RowT_contra) -> Outcome:
        """Write a row of an older shard, and return its outcome."""
        ...


@dataclass(frozen=True)
class ShardRun:
    """The outcomes and the cost of one shard.

    Attributes:
        outcomes: One a clip.
        num_reused: Clips whose rows were copied from an older shard.
        network_seconds: Wall time in which the network ran.
    """

    outcomes: tuple[Outcome, ...]
    num_reused: int
    network_seconds: float


def run_shard(
    clips: Iterable[ClipInput],
    model: Model,
    # Any: pictures, sound or texts, as the model takes.
    stream: Callable[[Iterator[Any]], Iterator[ResultT]],
    sink: Sink[ResultT, RowT],
    reusable: ReusableShard[RowT],
    on_clip: Callable[[], None],
) -> ShardRun:
    """Run a model over the clips of a shard.

    Args:
        clips: Each is done with when the next one is asked for, in another thread.
        model: For its clock.
        stream: The method of the model that takes the values of clips, ``None`` for those that need not be computed,
            and yields one result for each.
        sink: Writes the rows.
        reusable: Rows of older shards.
        on_clip: Called after each clip.
    """
    before = model.network_seconds
    waiting: deque[ClipInput] = deque()
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        stack.callback(close_iterator, clips)
        results = stream(_values(clips, waiting, reusable))
        stack.callback(close_iterator, results)
        for result in results:
            clip = waiting.popleft()
            row = reusable.take(clip.outcome.clip_id, clip.digest) if clip.outcome.status == "ok" else None
            outcomes.append(sink.add(clip, result) if row is None else sink.copy(clip, row))
            on_clip()
    return ShardRun(tuple(outcomes), reusable.num_reused, model.network_seconds - before)


# Any: as above.
def _values(clips: Iterable[ClipInput], waiting: deque[ClipInput], reusable: ReusableShard[RowT]) -> Iterator[Any]:
    """Yield what the model takes, and keep the clips in flight without it."""
    for clip in clips:
        waiting.append(replace(clip, value=None))
        is_known = clip.outcome.status == "ok" and reusable.find(clip.outcome.clip_id, clip.digest) is not None
        yield None if is_known else clip.value
