"""Streams clips through a model: read, prepared, gathered into batches, run, and yielded in order.

Three things go on at a time. One thread reads the clips and gathers prepared items into batches; a pool of threads
decodes and preprocesses; the caller's thread starts batches, takes their results, and uses the finished clips while
the network works. Every queue between them is bounded, so memory depends on the size of a batch, on the results of
one clip, and on those (256 MB at most) of the clips that wait behind one whose batch is not full, not on the length of
a clip or of a shard.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from features.base.errors import ShardError, ToolError
from features.base.parallel import STOPPING, WorkerPool, prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ClipT = TypeVar("ClipT")
# What a result refers to: its time in the clip, for example.
MarkT = TypeVar("MarkT")
MarkT_contra = TypeVar("MarkT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

# Batches that may wait to be filled, in batches of items and of clips, before a smaller one is run.
MAX_HELD_BATCHES = 16
# Results that may wait behind a clip that waits for its batch.
MAX_HELD_BYTES = 256 << 20
# Prepared pieces that may wait for their turn, for each worker.
PIECES_PER_WORKER = 2


@dataclass(frozen=True)
class Item(Generic[MarkT]):
    """One input of the network, from one clip.

    Attributes:
        arrays: One row of each of the network's inputs, without the batch dimension. Items share a batch when
            shapes and types are equal.
        mark: What the result refers to.
    """

    arrays: tuple[npt.NDArray[Any], ...]
    mark: MarkT


@dataclass(frozen=True)
class Computed(Generic[MarkT, ResultT]):
    """A result that needs no network.

    Attributes:
        mark: What it refers to.
        result: The result.
    """

    mark: MarkT
    result: ResultT


# Decodes and preprocesses a part of a clip; any thread may call it.
Piece: TypeAlias = "Callable[[], Sequence[Item[MarkT] | Computed[MarkT, ResultT]]]"


class BatchModel(Protocol[MarkT_contra, ResultT_co]):
    """A network that takes batches."""

    @property
    def max_in_flight(self) -> int:
        """Batches that may have been started before the oldest one's result is asked for."""
        ...

    def start(
        self, arrays: tuple[npt.NDArray[Any], ...], marks: Sequence[MarkT_contra]
    ) -> Callable[[], Sequence[ResultT_co]]:
        """Begin with a batch, and return the function that waits for one result a mark, in the order of starting.

        A batch has at least as many rows as marks: it is filled up with copies.
        """
        ...


@dataclass(frozen=True)
class BatchSettings:
    """How batches are made.

    Attributes:
        batch_size: Items in every batch: a smaller rest is filled up with copies of its last one, so that
            the results of an item do not depend on how many others came with it.
        workers: Threads that prepare items.
        item_bytes: Memory that the results of an item take at most, as the network gives them.
    """

    batch_size: int
    workers: int
    item_bytes: int = 1

    @property
    def max_held(self) -> int:
        """Clips, and also items, that may wait for a batch to fill; at least a batch."""
        fitting = MAX_HELD_BYTES // self.item_bytes
        return max(self.batch_size, min(MAX_HELD_BATCHES * self.batch_size, fitting))


@dataclass
class StreamedClip(Generic[MarkT, ResultT]):
    """One clip: the reading thread counts its items, the caller's thread fills in the result of each position.

    Attributes:
        problem: Why the clip cannot be used, as found while it was read.
        num_items: Items so far.
        found: Position of an item -> its mark and its result.
    """

    problem: str = ""
    num_items: int = 0
    found: dict[int, tuple[MarkT, ResultT]] = field(default_factory=dict)

    def is_finished(self) -> bool:
        """Return whether every item that was counted has its result."""
        return len(self.found) == self.num_items

    def results(self) -> list[tuple[MarkT, ResultT]]:
        """Return marks and results in order; an empty list for a clip with a problem."""
        return [] if self.problem else [self.found[position] for position in range(self.num_items)]


def stream_clips(
    clips: Iterable[ClipT | None],
    pieces: Callable[[ClipT], Iterable[Piece[MarkT, ResultT]]],
    model: BatchModel[MarkT, ResultT] | None,
    settings: BatchSettings,
) -> Iterator[StreamedClip[MarkT, ResultT]]:
    """Yield each clip with its results, in order.

    Which items share a batch depends on the clips and the settings alone.

    Args:
        clips: Read in another thread, some batches ahead of the clip that is yielded.
        pieces: Cuts a clip into calls that return items. The cutting is done in the thread that reads the
            clips, one clip after the other, the calls in the threads of a pool. Both may raise
            ``ShardError``, and the clip then has a ``problem``.
        model: The network: each of an item's arrays with a batch dimension in. ``None`` where every piece
            returns results that are computed already.
        settings: The size of a batch, and the number of threads.
    """
    in_flight: deque[tuple[_Batch[MarkT, ResultT], Callable[[], Sequence[ResultT]]]] = deque()
    waiting: deque[StreamedClip[MarkT, ResultT]] = deque()
    max_in_flight = 1 if model is None else model.max_in_flight
    try:
        # A caller that leaves early stops the threads that decode and prepare.
        for thing in prefetch(_batches(clips, pieces, settings), max_in_flight + 1, STOPPING.set):
            if isinstance(thing, StreamedClip):
                waiting.append(thing)
            elif model is None:
                raise TypeError("an item needs a network, and there is none")
            else:
                in_flight.append((thing, model.start(thing.arrays, [place.mark for place in thing.places])))
            # The second rule is for many clips without anything after one that waits for its result.
            while in_flight and (len(in_flight) > max_in_flight or len(waiting) > settings.max_held):
                _collect(*in_flight.popleft())
            while waiting and waiting[0].is_finished():
                yield waiting.popleft()
        while in_flight:
            _collect(*in_flight.popleft())
    finally:
        # A network that still runs reads its arrays: they must not go before it is done.
        for _, result in in_flight:
            with suppress(ToolError):
                result()
    yield from waiting


@dataclass(frozen=True)
class _Place(Generic[MarkT, ResultT]):
    """Where the result of an item in a batch goes."""

    clip: StreamedClip[MarkT, ResultT]
    position: int
    mark: MarkT

    def fill(self, result: ResultT) -> None:
        self.clip.found[self.position] = (self.mark, result)


@dataclass(frozen=True)
class _Batch(Generic[MarkT, ResultT]):
    arrays: tuple[npt.NDArray[Any], ...]
    places: Sequence[_Place[MarkT, ResultT]]


def _collect(batch: _Batch[MarkT, ResultT], results: Callable[[], Sequence[ResultT]]) -> None:
    for place, result in zip(batch.places, results(), strict=True):
        place.fill(result)


def _batches(
    clips: Iterable[ClipT | None], pieces: Callable[[ClipT], Iterable[Piece[MarkT, ResultT]]], settings: BatchSettings
) -> Iterator[_Batch[MarkT, ResultT] | StreamedClip[MarkT, ResultT]]:
    """Yield full batches as they fill, and each clip, in order, once all of it was read."""
    buckets: _Buckets[MarkT, ResultT] = _Buckets(settings)
    clip: StreamedClip[MarkT, ResultT] = StreamedClip()
    with WorkerPool(settings.workers, PIECES_PER_WORKER * settings.workers) as pool:
        for ready in pool.ordered_map(_prepared, _calls(clips, pieces)):
            if isinstance(ready, ShardError):
                clip.problem = clip.problem or str(ready)
            elif ready is None:
                yield clip
                clip = StreamedClip()
                yield from buckets.overdue()
            else:
                for item in ready:
                    place = _Place(clip, clip.num_items, item.mark)
                    clip.num_items += 1
                    if isinstance(item, Computed):
                        place.fill(item.result)
                    else:
                        yield from buckets.add(item, place)
        yield from buckets.rest()


def _calls(
    clips: Iterable[ClipT | None], pieces: Callable[[ClipT], Iterable[Piece[MarkT, ResultT]]]
) -> Iterator[Piece[MarkT, ResultT] | ShardError | None]:
    """Yield the calls of each clip, then ``None``."""
    for clip in clips:
        if clip is not None:
            try:
                yield from pieces(clip)
            except ShardError as error:
                yield error
        yield None


def _prepared(
    call: Piece[MarkT, ResultT] | ShardError | None,
) -> Sequence[Item[MarkT] | Computed[MarkT, ResultT]] | ShardError | None:
    if call is None or isinstance(call, ShardError):
        return call
    try:
        return call()
    except ShardError as error:
        return error


class _Buckets(Generic[MarkT, ResultT]):
    """Items that wait for others of their shape."""

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        # In the order in which the first item of each shape came: shape -> items, and clips read before it.
        self._buckets: dict[object, tuple[int, list[tuple[Item[MarkT], _Place[MarkT, ResultT]]]]] = {}
        self._num_clips = 0
        self._num_items = 0

    def add(self, item: Item[MarkT], place: _Place[MarkT, ResultT]) -> Iterator[_Batch[MarkT, ResultT]]:
        key = tuple((array.shape, array.dtype.str) for array in item.arrays)
        _, bucket = self._buckets.setdefault(key, (self._num_clips, []))
        bucket.append((item, place))
        self._num_items += 1
        if len(bucket) == self._settings.batch_size:
            yield self._pop(key)
        while self._num_items > self._settings.max_held:
            yield self._pop(next(iter(self._buckets)))

    def overdue(self) -> Iterator[_Batch[MarkT, ResultT]]:
        """Count the end of a clip; yield the batches that have waited for too many clips."""
        self._num_clips += 1
        while self._buckets:
            key, (born, _) = next(iter(self._buckets.items()))
            if self._num_clips - born <= self._settings.max_held:
                return
            yield self._pop(key)

    def rest(self) -> Iterator[_Batch[MarkT, ResultT]]:
        while self._buckets:
            yield self._pop(next(iter(self._buckets)))

    def _pop(self, key: object) -> _Batch[MarkT, ResultT]:
        _, bucket = self._buckets.pop(key)
        self._num_items -= len(bucket)
        items, places = zip(*bucket, strict=True)
        rows = [item.arrays for item in items]
        rows += rows[-1:] * (self._settings.batch_size - len(rows))
        return _Batch(tuple(map(np.stack, zip(*rows, strict=True))), places)
