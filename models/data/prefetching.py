"""Batches made ready by a thread while the last one is still learned from."""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")

_POLL_SECONDS = 0.1


@contextmanager
def prefetched(items: Iterable[Item], depth: int = 2) -> Iterator[Iterator[Item]]:
    """Inside, the same items in the same order, up to ``depth`` of them made ahead by a thread of their own.

    An error of ``items`` is raised where its item would have come. On leaving, the thread has ended.
    """
    worker = _Worker(items, depth)
    worker.thread.start()
    try:
        yield worker.received()
    finally:
        worker.stopped.set()
        worker.thread.join()


class _Worker(Generic[Item]):
    """A thread that fills a bounded queue."""

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(depth)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._work, name="prefetch", daemon=True)

    def received(self) -> Iterator[Item]:
        """The items as they become ready."""
        while (found := self._queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found[0]

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are taken
            self._put(error)

    def _put(self, value: tuple[Item] | BaseException | None) -> bool:
        """Whether the value was taken in before the reader left."""
        while not self.stopped.is_set():
            try:
                self._queue.put(value, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
