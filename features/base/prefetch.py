"""Runs an iterator in a thread of its own, a bounded number of items ahead."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Item = TypeVar("Item")
# How often a thread that waits looks whether it is still wanted.
POLL_SECONDS = 0.2


def prefetch(
    items: Iterable[Item], depth: int, on_leaving: Callable[[], None] = lambda: None
) -> Generator[Item, None, None]:
    """Yield ``items`` in order, taken from it by another thread, at most ``depth`` of them ahead.

    What the iterable raises is raised here in its place. When the caller stops early, ``on_leaving`` is called, so
    that an iterable which is at work for long can hear of it; the iterable is left where it stands and, if it is a
    generator, closed.
    """
    handed: queue.Queue[_Taken[Item]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_take, args=(items, handed, stopped), daemon=True)
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
        if thread.is_alive():
            thread.join()


@dataclass(frozen=True)
class _Taken(Generic[Item]):
    """One item, the end (nothing), or an error."""

    items: tuple[Item, ...] = ()
    error: BaseException | None = None


def _take(items: Iterable[Item], handed: queue.Queue[_Taken[Item]], stopped: threading.Event) -> None:
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
        close_iterator(iterator)


def close_iterator(items: object) -> None:
    """Close a generator that nobody will go on with, so that what it holds is let go; anything else is left alone."""
    close = getattr(items, "close", None)
    if close is not None:
        close()


def _put(taken: _Taken[Item], handed: queue.Queue[_Taken[Item]], stopped: threading.Event) -> bool:
    """Return whether somebody will get it."""
    while not stopped.is_set():
        try:
            handed.put(taken, timeout=POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False
