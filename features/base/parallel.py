"""Threads: an ordered pool with bounded memory, an iterator that runs ahead, and the time in which jobs run."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType

# Set while a pool is being abandoned; long waits and reads check it.
STOPPING = threading.Event()
# Results of each worker that may wait for an earlier one.
RESULTS_PER_WORKER = 4

Item = TypeVar("Item")
Result = TypeVar("Result")
# How often the waiting thread checks whether the caller has stopped.
POLL_SECONDS = 0.2
# How long a thread is waited for after a second signal.
LEAVING_SECONDS = 10.0


def num_cpus() -> int:
    """Return the CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


class StoppedError(Exception):
    """Another shard failed, or the run was stopped: nothing of this one may be published."""


class WorkerPool:
    """Threads that the shards of a stage share: while one shard waits for its last clips, the next one starts.

    Args:
        workers: Threads, 1 or more.
        window: Results that may wait for an earlier one in one :meth:`ordered_map`; ``None`` = 4 a worker.
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

        At most ``window`` results wait for an earlier one, so memory does not grow with the number of items.
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
    # Taken out once it is there: a signal handler may raise meanwhile, and the call then still has to be waited for.
    result = waiting[0].result()
    waiting.popleft()
    if STOPPING.is_set():
        # A worker that stopped early returned no valid result.
        raise StoppedError("the run was stopped")
    return result


def prefetch(
    items: Iterable[Item], depth: int, on_leaving: Callable[[], None] = lambda: None
) -> Generator[Item, None, None]:
    """Yield ``items`` in order, taken from it by another thread, at most ``depth`` of them ahead.

    An exception of the iterable is raised here in its place. When the caller stops early, ``on_leaving`` is called, so
    that a slow iterable can end early; iteration stops and the iterable is closed if it is a generator.
    """
    handed: queue.Queue[_Taken[Item]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    ended = threading.Event()
    thread = threading.Thread(target=_take, args=(items, handed, stopped, ended), daemon=True)
    is_over = False
    try:
        # In here, since a signal handler may raise while the thread starts.
        thread.start()
        while not is_over:
            taken = handed.get()
            is_over = not taken.items
            if taken.error is not None:
                raise taken.error
            yield from taken.items
    finally:
        if not is_over:
            on_leaving()
        stopped.set()
        # A signal may arrive inside start(), before Python counts the thread as alive.
        if thread.ident is not None:
            _join(thread, ended)


def _join(thread: threading.Thread, ended: threading.Event) -> None:
    """Wait for a thread, also when a signal handler raises meanwhile: the caller then closes what the thread reads.

    Python takes a thread for ended when its ``join`` is interrupted, so it cannot be joined again: hence the event.
    """
    try:
        ended.wait()
        thread.join()
    except BaseException:
        ended.wait(LEAVING_SECONDS)
        raise


@dataclass(frozen=True)
class _Taken(Generic[Item]):
    """One item, the end (nothing), or an error."""

    items: tuple[Item, ...] = ()
    error: BaseException | None = None


def _take(
    items: Iterable[Item], handed: queue.Queue[_Taken[Item]], stopped: threading.Event, ended: threading.Event
) -> None:
    iterator: Iterator[Item] = iter(())
    try:
        iterator = iter(items)
        for item in iterator:
            if not _put(_Taken((item,)), handed, stopped):
                break
        else:
            _put(_Taken(), handed, stopped)
    except BaseException as error:  # noqa: BLE001 - it is raised where the items are wanted
        _put(_Taken(error=error), handed, stopped)
    finally:
        try:
            close_iterator(iterator)
        finally:
            ended.set()


def close_iterator(items: object) -> None:
    """Close a generator, so that it releases its resources; do nothing for any other object."""
    close = getattr(items, "close", None)
    if close is not None:
        close()


def _put(taken: _Taken[Item], handed: queue.Queue[_Taken[Item]], stopped: threading.Event) -> bool:
    """Return whether the item was handed over before the caller stopped."""
    while not stopped.is_set():
        try:
            handed.put(taken, timeout=POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False


class BusyTime:
    """Adds up wall time in which at least one of several jobs ran; jobs are added in the order of their starts.

    Attributes:
        seconds: The sum so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._until = 0.0

    def add(self, start: float, end: float) -> None:
        """Add a job by its start and end of ``time.perf_counter``; overlapping time counts once."""
        self.seconds += max(0.0, end - max(start, self._until))
        self._until = max(self._until, end)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time that the body takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(start, time.perf_counter())
