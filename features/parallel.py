"""A thread pool that keeps the order and a bounded number of results in memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Set while a pool is being abandoned; whoever sleeps or reads for long looks at it.
STOPPING = threading.Event()

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_cpus() -> int:
    """Return the CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield ``function(item)`` for each item in order, ``workers`` at a time.

    At most ``4 * workers`` results wait for their turn, so memory does not grow with the number of items.
    After an exception, or when the caller stops early, no further item is started and ``STOPPING`` is set, so
    that work that can wait for long ends soon.
    """
    STOPPING.clear()
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            STOPPING.set()
            raise
        finally:
            for future in waiting:
                future.cancel()
