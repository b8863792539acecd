"""Work that waits for turns at hosts, shared by threads: a slow host or a pause holds up no other host's work."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from features.http.guard import check_stopping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.http.rate_limit import HostGates

# How soon a waiting thread notices that the run is stopped, or that another backlog gave a turn back.
MAX_WAIT_SECONDS = 0.1

Result = TypeVar("Result")


@dataclass(frozen=True)
class Turn:
    """What a piece of work waits for.

    Attributes:
        host: The host that it will ask next, ``""`` = none.
        not_before: Monotonic time.
    """

    host: str = ""
    not_before: float = 0.0


# Work in steps: it yields the turn it needs, goes on when it has it, and so on until it returns.
Steps = Generator[Turn, None, Result]


class Backlog(Generic[Result]):
    """Pieces of work of which any that has its turn goes on.

    Args:
        work: The pieces, not yet begun.
        gates: Who hands out the turns.
    """

    def __init__(self, work: Sequence[Steps[Result]], gates: HostGates) -> None:
        self._work = work
        self._gates = gates
        # Host -> work that wants a turn there. Hosts take turns too: one that got its turn goes to the end.
        self._ready: dict[str, deque[int]] = {"": deque(range(len(work)))}
        self._later: list[tuple[float, int, str]] = []

    def finish_one(self) -> Result:
        """Return the result of the first piece of work that this thread brings to its end.

        Called once for each piece, by any number of threads.

        Raises:
            StoppedError: The run is being stopped.
        """
        while True:
            index, host = self._take()
            try:
                turn = next(self._work[index])
            except StopIteration as end:
                result: Result = end.value
                return result
            finally:
                self._gates.give_back(host)
            self._put(index, turn)

    def _put(self, index: int, turn: Turn) -> None:
        with self._gates.condition:
            if turn.not_before > time.monotonic():
                heapq.heappush(self._later, (turn.not_before, index, turn.host))
            else:
                self._ready.setdefault(turn.host, deque()).append(index)
            self._gates.condition.notify()

    def _take(self) -> tuple[int, str]:
        """Return a piece of work that has its turn, and the host of that turn."""
        with self._gates.condition:
            while True:
                check_stopping()
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    _, index, host = heapq.heappop(self._later)
                    self._ready.setdefault(host, deque()).append(index)
                found, wait_until = self._pick()
                if found is not None:
                    return found
                if self._later:
                    wait_until = min(wait_until, self._later[0][0])
                self._gates.condition.wait(min(max(wait_until - now, 0.001), MAX_WAIT_SECONDS))

    def _pick(self) -> tuple[tuple[int, str] | None, float]:
        """Return work that may go on now, or when to look again."""
        wait_until = time.monotonic() + MAX_WAIT_SECONDS
        for host in list(self._ready):
            waiting = self._ready[host]
            free_at = self._gates.try_take(host)
            if free_at:
                wait_until = min(wait_until, free_at)
                continue
            index = waiting.popleft()
            del self._ready[host]
            if waiting:
                self._ready[host] = waiting
            return (index, host), 0.0
        return None, wait_until


def finish(work: Steps[Result], gates: HostGates) -> Result:
    """Return the result of one piece of work, waited for."""
    return Backlog([work], gates).finish_one()
