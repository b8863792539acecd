"""Takes clips through a frozen network: read, prepared, gathered into batches, run, and handed back in order.

Three things go on at a time. One thread reads the clips and gathers what is ready into batches; a pool of
threads decodes and preprocesses; the caller's thread starts batches, takes their results, and does with the
clips what it likes while the network works. Every queue between them is bounded, so memory depends on the
size of a batch, on the features of one clip, and on those (256 MB at most) of the clips that wait behind one whose
batch is not full, not on the length of a clip or of a shard.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from features.base.errors import ShardError, ToolError
from features.base.parallel import STOPPING, WorkerPool
from features.base.prefetch import prefetch
from features.formats.clip_data import ClipFeatures, Float32, Int32, UInt8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from features.backbones.runtime.runner import Runner

ClipT = TypeVar("ClipT")
# Decodes and preprocesses some items of a clip; any thread may call it.
Piece: TypeAlias = "Callable[[], Sequence[Item]]"

# Batches that may wait to be filled, in batches of items and of clips, before a smaller one is run.
MAX_HELD_BATCHES = 16
# Features that may wait behind a clip that waits for its batch.
MAX_HELD_BYTES = 256 << 20
ROWS_NDIM = 2
# Prepared pieces that may wait for their turn, for each worker.
PIECES_PER_WORKER = 2


@dataclass(frozen=True)
class Steps:
    """The n steps of a clip's features that come of one item.

    Attributes:
        time_seconds: ``(n,)`` their times; the network gives at least n rows for the item, or, where its
            output has no dimension for steps, one.
        token_id: ``(n,)`` token of each step, ``None`` where steps are no tokens.
        field_id: ``(n,)`` text field of each step, ``None`` where steps are no tokens.
    """

    time_seconds: Float32
    token_id: Int32 | None = None
    field_id: UInt8 | None = None


@dataclass(frozen=True)
class Item:
    """What the network sees at once of one clip.

    Attributes:
        arrays: One row of each of the network's inputs, without the batch dimension. Items share a batch when
            shapes and types are equal.
        steps: What comes of it.
    """

    arrays: tuple[npt.NDArray[Any], ...]
    steps: Steps

    @classmethod
    def of_one_step(cls, *arrays: npt.NDArray[Any], time_seconds: float) -> Item:
        """Return an item that gives one row."""
        return cls(arrays, Steps(np.array([time_seconds], np.float32)))

    @property
    def key(self) -> tuple[object, ...]:
        """What items of one batch have in common."""
        return tuple((array.shape, array.dtype.str) for array in self.arrays)


@dataclass(frozen=True)
class BatchSettings:
    """How batches are made.

    Attributes:
        batch_size: Items in every batch: a smaller rest is filled up with copies of its last one, so that
            the features of an item do not depend on how many others came with it.
        workers: Threads that prepare items.
        item_bytes: Memory that the features of an item take at most, as the network gives them.
    """

    batch_size: int
    workers: int
    item_bytes: int = 1

    @property
    def max_held(self) -> int:
        """Clips, and also items, that may wait for a batch to fill; at least a batch."""
        fitting = MAX_HELD_BYTES // self.item_bytes
        return max(self.batch_size, min(MAX_HELD_BATCHES * self.batch_size, fitting))


def embed_clips(
    clips: Iterable[ClipT | None],
    pieces: Callable[[ClipT], Iterable[Piece]],
    runner: Runner,
    dim: int,
    settings: BatchSettings,
) -> Iterator[ClipFeatures]:
    """Yield the features of each clip, in order.

    Which items share a batch depends on the clips and the settings alone.

    Args:
        clips: Taken in another thread, some batches ahead of the clip that is yielded.
        pieces: Cuts a clip into calls that return items. The cutting is done in the thread that reads the
            clips, one clip after the other, the calls in the threads of a pool. Both may raise
            ``ShardError``, and the clip then has a ``problem``.
        runner: The network: each of an item's arrays with a batch dimension in, ``(B, D)`` or ``(B, L, D)``
            out.
        dim: Width D.
        settings: The size of a batch, and the number of threads.
    """
    in_flight: deque[tuple[_Batch, Callable[[], Float32]]] = deque()
    waiting: deque[_Ended] = deque()
    try:
        # Whoever prepares or decodes for a caller that has left is told to give up.
        for thing in prefetch(_batches(clips, pieces, settings), runner.max_in_flight + 1, STOPPING.set):
            if isinstance(thing, _Ended):
                waiting.append(thing)
            else:
                in_flight.append((thing, runner.start(*thing.arrays)))
            # The second rule is for many clips without anything after one that waits for its result.
            while in_flight and (len(in_flight) > runner.max_in_flight or len(waiting) > settings.max_held):
                _collect(*in_flight.popleft())
            while waiting and waiting[0].is_finished():
                yield waiting.popleft().features(dim)
        while in_flight:
            _collect(*in_flight.popleft())
    finally:
        # A network that still runs reads its arrays: they must not go before it is done.
        for _, result in in_flight:
            with suppress(ToolError):
                result()
    for ended in waiting:
        yield ended.features(dim)


@dataclass
class _Clip:
    """One clip: the reader counts its items, the caller's thread fills in what came of each position."""

    num_items: int = 0
    found: dict[int, tuple[Steps, Float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ended:
    """Stands after the last item of a clip."""

    clip: _Clip
    problem: str

    def is_finished(self) -> bool:
        return len(self.clip.found) == self.clip.num_items

    def features(self, dim: int) -> ClipFeatures:
        found = [] if self.problem else [self.clip.found[position] for position in range(self.clip.num_items)]
        if not found:
            return ClipFeatures(np.zeros((0, dim), np.float32), np.zeros(0, np.float32), problem=self.problem)
        steps = [steps for steps, _ in found]
        return ClipFeatures(
            np.concatenate([rows for _, rows in found]),
            np.concatenate([step.time_seconds for step in steps]),
            _joined([step.token_id for step in steps]),
            _joined([step.field_id for step in steps]),
        )


@dataclass(frozen=True)
class _Place:
    """Where the rows of an item in a batch go."""

    clip: _Clip
    position: int
    steps: Steps


@dataclass(frozen=True)
class _Batch:
    arrays: tuple[npt.NDArray[Any], ...]
    places: list[_Place]


def _batches(
    clips: Iterable[ClipT | None], pieces: Callable[[ClipT], Iterable[Piece]], settings: BatchSettings
) -> Iterator[_Batch | _Ended]:
    """Yield full batches as they fill, and each clip's end in order."""
    buckets = _Buckets(settings)
    clip, problem = _Clip(), ""
    with WorkerPool(settings.workers, PIECES_PER_WORKER * settings.workers) as pool:
        for ready in pool.ordered_map(_prepared, _calls(clips, pieces)):
            if isinstance(ready, ShardError):
                problem = problem or str(ready)
            elif ready is None:
                yield _Ended(clip, problem)
                clip, problem = _Clip(), ""
                yield from buckets.overdue()
            else:
                for item in ready:
                    yield from buckets.add(item, _Place(clip, clip.num_items, item.steps))
                    clip.num_items += 1
        yield from buckets.rest()


def _calls(
    clips: Iterable[ClipT | None], pieces: Callable[[ClipT], Iterable[Piece]]
) -> Iterator[Piece | ShardError | None]:
    """Yield the calls of each clip, then ``None``."""
    for clip in clips:
        if clip is not None:
            try:
                yield from pieces(clip)
            except ShardError as error:
                yield error
        yield None


def _prepared(call: Piece | ShardError | None) -> Sequence[Item] | ShardError | None:
    if call is None or isinstance(call, ShardError):
        return call
    try:
        return call()
    except ShardError as error:
        return error


class _Buckets:
    """Items that wait for others of their shape."""

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        # In the order in which the first item of each shape came: shape -> items, and clips read before it.
        self._buckets: dict[object, tuple[int, list[tuple[Item, _Place]]]] = {}
        self._num_clips = 0
        self._num_items = 0

    def add(self, item: Item, place: _Place) -> Iterator[_Batch]:
        key = item.key
        _, bucket = self._buckets.setdefault(key, (self._num_clips, []))
        bucket.append((item, place))
        self._num_items += 1
        if len(bucket) == self._settings.batch_size:
            yield self._pop(key)
        while self._num_items > self._settings.max_held:
            yield self._pop(next(iter(self._buckets)))

    def overdue(self) -> Iterator[_Batch]:
        """Hear that a clip has ended; yield what has waited for too many clips."""
        self._num_clips += 1
        while self._buckets:
            key, (born, _) = next(iter(self._buckets.items()))
            if self._num_clips - born <= self._settings.max_held:
                return
            yield self._pop(key)

    def rest(self) -> Iterator[_Batch]:
        while self._buckets:
            yield self._pop(next(iter(self._buckets)))

    def _pop(self, key: object) -> _Batch:
        _, bucket = self._buckets.pop(key)
        self._num_items -= len(bucket)
        padding = [bucket[-1][0]] * (self._settings.batch_size - len(bucket))
        rows = [item.arrays for item, _ in bucket] + [item.arrays for item in padding]
        arrays = tuple(np.stack(column) for column in zip(*rows, strict=True))
        return _Batch(arrays, [place for _, place in bucket])


def _collect(batch: _Batch, result: Callable[[], Float32]) -> None:
    output = result()
    longest = max(place.steps.time_seconds.size for place in batch.places)
    if len(output) < len(batch.places) or (1 if output.ndim == ROWS_NDIM else output.shape[1]) < longest:
        raise ToolError(
            f"a network gave an output of shape {output.shape} for {len(batch.places)} inputs of up to {longest} steps:"
            " set runtime to torch, and please report this"
        )
    for row, place in zip(output, batch.places, strict=False):
        num_steps = place.steps.time_seconds.size
        rows = row[None] if row.ndim == 1 else row[:num_steps]
        # A copy, so that the batch's output can go.
        place.clip.found[place.position] = (place.steps, rows.copy())


def _joined(parts: Sequence[npt.NDArray[Any] | None]) -> npt.NDArray[Any] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None
