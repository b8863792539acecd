"""Wall time in which something runs that several threads wait for, such as a network."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class BusyTime:
    """Adds up wall time in which at least one of several jobs ran; jobs are added in the order of their starts.

    Attributes:
        seconds: The sum so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._until = 0.0

    def add(self, start: float, end: float) -> None:
        """Add a job, as ``time.perf_counter`` tells its start and its end; time already counted counts once."""
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
