"""How many requests go to one host, and when: shared by every thread of a run."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from features.http.guard import check_stopping

if TYPE_CHECKING:
    from collections.abc import Sequence

# A start that comes late by this is made up for: sleeping is inexact, and the rate should be met.
MAX_LATE_SECONDS = 0.05
# Answers to requests that were under way together say the same thing: they halve a host's connections once.
HALVING_SECONDS = 1.0
# A host that could not be reached this often in a row, and for this long, is closed for a while: with hundreds of
# thousands of clips on it, waiting for each of them in turn would take weeks.
DOWN_FAILURES = 20
DOWN_SECONDS = 60.0
DOWN_CLOSED_SECONDS = 300.0


@dataclass
class _Host:
    """What is known of one host; times are monotonic.

    Attributes:
        allowed: Connections it may have now; the whole part counts.
        active: Connections it has.
        halved_at: When their number was last halved.
        next_at: When the rate allows the next request.
        paused_until: Until when it asked to be left alone.
        closed_until: Until when nobody asks it.
        closed_code: Why.
        failures: Times in a row that it could not be reached, and
        failing_since: since when.
    """

    allowed: float
    active: int = 0
    halved_at: float = -math.inf
    next_at: float = 0.0
    paused_until: float = 0.0
    closed_until: float = 0.0
    closed_code: str = ""
    failures: int = 0
    failing_since: float = 0.0


class HostGates:
    """Hands out turns at hosts.

    A host that answers 429 or 503 gets half its connections and, answer by answer, wins them back (additive increase,
    multiplicative decrease, as TCP does: Chiu and Jain 1989).

    Args:
        connections: Most requests at a time to one host.
        per_second: Most requests begun in a second at one host; 0 = no limit.
        max_pause_seconds: A host that asks for a longer pause is closed for that time.
    """

    def __init__(self, connections: int, per_second: float, max_pause_seconds: float) -> None:
        self._connections = connections
        self._interval = 1 / per_second if per_second else 0.0
        self._max_pause = max_pause_seconds
        self._hosts: dict[str, _Host] = {}
        # Held to take a turn; told when one is given back.
        self.condition = threading.Condition()

    def _host(self, name: str) -> _Host:
        return self._hosts.setdefault(name, _Host(float(self._connections)))

    def try_take(self, name: str) -> float:
        """Take a turn at a host; the caller holds ``condition``.

        Returns:
            0 when it was taken, else the monotonic time at which to ask again, infinite when a turn has to be given
            back first. The empty name stands for work that asks no host: always 0. So does a host that is closed,
            since nobody will ask it.
        """
        if not name:
            return 0.0
        host = self._host(name)
        now = time.monotonic()
        if now < host.closed_until:
            host.active += 1
            return 0.0
        if host.active >= int(host.allowed):
            return math.inf
        free_at = max(host.next_at, host.paused_until)
        if now < free_at:
            return free_at
        host.active += 1
        host.next_at = max(host.next_at, now - min(self._interval, MAX_LATE_SECONDS)) + self._interval
        return 0.0

    def give_back(self, name: str) -> None:
        """End a turn."""
        with self.condition:
            if name:
                self._host(name).active -= 1
            self.condition.notify()

    def went_well(self, name: str) -> None:
        """Let a host win back connections, one for as many good answers as it has."""
        with self.condition:
            host = self._host(name)
            host.allowed = min(host.allowed + 1 / host.allowed, float(self._connections))

    def overloaded(self, name: str, pause_seconds: float) -> None:
        """Halve a host's connections, and leave it alone for the pause it asked for, 0 = it named none."""
        with self.condition:
            host = self._host(name)
            now = time.monotonic()
            if now >= host.halved_at + HALVING_SECONDS:
                host.allowed, host.halved_at = max(host.allowed / 2, 1.0), now
            until = now + pause_seconds
            if pause_seconds > self._max_pause:
                host.closed_until, host.closed_code = until, "retry_after_too_long"
            elif pause_seconds:
                host.paused_until = max(host.paused_until, until)

    def reached(self, name: str) -> None:
        """Take note that a host answered, whatever the answer."""
        with self.condition:
            self._host(name).failures = 0

    def not_reached(self, name: str) -> None:
        """Take note that a host did not answer; one that has not for long is closed."""
        with self.condition:
            host, now = self._host(name), time.monotonic()
            host.failing_since = host.failing_since if host.failures else now
            host.failures += 1
            if host.failures >= DOWN_FAILURES and now - host.failing_since >= DOWN_SECONDS:
                host.closed_until, host.closed_code = now + DOWN_CLOSED_SECONDS, "host_down"
                host.failures = 0

    def closed(self, name: str) -> tuple[str, float] | None:
        """Return why a host is closed and for how many seconds more, ``None`` when it is not."""
        with self.condition:
            host = self._host(name)
            left = host.closed_until - time.monotonic()
            return (host.closed_code, left) if left > 0 else None


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
