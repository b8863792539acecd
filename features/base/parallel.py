"""A pool of threads that keeps order and a bounded number of results in memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

# Set while a pool is being abandoned; whoever sleeps or reads for long looks at it.
STOPPING = threading.Event()
# Results that wait for their turn, for each worker.
RESULTS_PER_WORKER = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_cpus() -> int:
    """Return the CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


class StoppedError(Exception):
    """Another shard failed, or the run was stopped: nothing of this one may be published."""


class WorkerPool:
    """Threads that the shards of a stage share: when one shard waits for its last clips, the next one begins.

    Args:
        workers: Threads, 1 or more.
        window: Results that may wait for their turn in one :meth:`ordered_map`; ``None`` = 4 a worker.
    """

    def __init__(self, workers: int, window: int | None = None) -> None:
        self.workers = workers
        self.window = window or RESULTS_PER_WORKER * workers
        self._threads = ThreadPoolExecutor(workers)

    def __enter__(self) -> WorkerPool:
        STOPPING.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            STOPPING.set()
        self._threads.shutdown(cancel_futures=kind is not None)

    def ordered_map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield ``function(item)`` for each item in order.

        At most ``window`` results wait for their turn, so memory does not grow with the number of items.
        After an exception, or when the caller stops early, no further item is started, ``STOPPING`` is set, so
        that work that can wait for long ends soon, and the calls that run are waited for: none of them outlives
        this generator, so the caller may then close what they read.
        """
        waiting: deque[Future[Result]] = deque()

        def work(item: Item) -> Result:
            if STOPPING.is_set():
                raise StoppedError("the run was stopped")
            return function(item)

        try:
            for item in items:
                waiting.append(self._threads.submit(work, item))
                if len(waiting) >= self.window:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        except BaseException:
            STOPPING.set()
            raise
        finally:
            # A future that cannot be cancelled runs, or has ended; the others would never be notified.
            wait([future for future in waiting if not future.cancel()])


def _next(waiting: deque[Future[Result]]) -> Result:
    result = waiting.popleft().result()
    if STOPPING.is_set():
        # What a worker that was told to stop returns is not what the item is worth.
        raise StoppedError("the run was stopped")
    return result
