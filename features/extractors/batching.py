"""Runs the items of many clips in batches of one size, and hands the clips back in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class BatchRule(Generic[ItemT]):
    """How items are put together.

    Attributes:
        key: Items of one batch have one key, such as their shape.
        batch_size: Items in a full batch.
        max_held: Clips, and also items, that may wait for a batch to fill before a smaller one is run.
    """

    key: Callable[[ItemT], Hashable]
    batch_size: int
    max_held: int


def run_in_batches(
    clips: Iterable[Iterable[ItemT]],
    run: Callable[[list[ItemT]], list[ResultT]],
    rule: BatchRule[ItemT],
) -> Iterator[list[ResultT]]:
    """Yield the results of each clip's items, clip by clip in the order they came.

    ``run`` takes 1 to ``batch_size`` items of one key and gives one result for each. It is called as soon as
    a key has a full batch, and at the end, or once more than ``max_held`` clips or items wait, with what
    there is: at most ``max_held + 1`` clips are taken from ``clips`` ahead of the one that is yielded next.
    Which items share a batch depends on the clips and the rule alone.
    """
    batches = _Batches(run, rule)
    for clip in clips:
        batches.add(clip)
        yield from batches.finished()
    while batches.run_oldest():
        yield from batches.finished()


@dataclass
class _Clip(Generic[ResultT]):
    results: list[ResultT | None] = field(default_factory=list)
    num_waiting: int = 0


class _Batches(Generic[ItemT, ResultT]):
    def __init__(self, run: Callable[[list[ItemT]], list[ResultT]], rule: BatchRule[ItemT]) -> None:
        self._run = run
        self._rule = rule
        self._clips: deque[_Clip[ResultT]] = deque()
        # In the order in which the first item of each key came.
        self._buckets: dict[Hashable, list[tuple[_Clip[ResultT], int, ItemT]]] = {}
        self._num_waiting = 0

    def add(self, items: Iterable[ItemT]) -> None:
        clip: _Clip[ResultT] = _Clip()
        self._clips.append(clip)
        for item in items:
            key = self._rule.key(item)
            bucket = self._buckets.setdefault(key, [])
            bucket.append((clip, len(clip.results), item))
            clip.results.append(None)
            clip.num_waiting += 1
            self._num_waiting += 1
            if len(bucket) == self._rule.batch_size:
                self._run_bucket(key)

    def finished(self) -> Iterator[list[ResultT]]:
        while self._clips:
            clip = self._clips[0]
            if clip.num_waiting:
                if max(len(self._clips), self._num_waiting) <= self._rule.max_held:
                    return
                self.run_oldest()
                continue
            self._clips.popleft()
            yield [result for result in clip.results if result is not None]

    def run_oldest(self) -> bool:
        """Run the bucket with the longest-waiting item; return whether there was one."""
        for key in self._buckets:
            self._run_bucket(key)
            return True
        return False

    def _run_bucket(self, key: Hashable) -> None:
        bucket = self._buckets.pop(key)
        results = self._run([item for _, _, item in bucket])
        for (clip, index, _), result in zip(bucket, results, strict=True):
            clip.results[index] = result
            clip.num_waiting -= 1
        self._num_waiting -= len(bucket)
