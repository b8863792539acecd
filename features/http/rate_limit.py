"""Rate limits of hosts, and the scheduler of the work that waits for them; shared by every thread of a run."""

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

# A start that is late by at most this does not delay the next one: sleeping is inexact, and the rate should be met.
MAX_LATE_SECONDS = 0.05
# Overload responses within this time belong to the same requests in flight: they halve a host's connections once.
HALVING_SECONDS = 1.0
# A host with this many connection failures in a row, over this long, is closed for a while: with hundreds of thousands
# of clips on it, one timeout after the other would take weeks.
DOWN_FAILURES = 20
DOWN_SECONDS = 60.0
DOWN_CLOSED_SECONDS = 300.0
# Longest wait of a thread before it checks for a stopped run, or for a slot released by another scheduler.
MAX_WAIT_SECONDS = 0.1
Result = TypeVar("Result")


@dataclass
class _Host:
    """The state of one host; times are monotonic.

    Attributes:
        allowed: Connections allowed now; the integer part counts.
        active: Connections in use.
        halved_at: Time of the last halving of ``allowed``.
        next_at: Time from which the rate allows the next request.
        paused_until: End of the pause that the host asked for.
        closed_until: End of the time in which no request is sent.
        closed_code: Reason of the closing.
        failures: Connection failures in a row.
        failing_since: Time of the first of them.
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


class HostLimiter:
    """Grants slots, each of which allows one request to one host.

    A 429 or 503 halves a host's connections; each success adds a part of one again (additive increase, multiplicative
    decrease, as in TCP: Chiu and Jain 1989).

    Args:
        connections: Concurrent requests to one host.
        per_second: Requests started per second at one host; 0 = no limit.
        max_pause_seconds: A host that asks for a longer pause is closed for that time.
    """

    def __init__(self, connections: int, per_second: float, max_pause_seconds: float) -> None:
        self._connections = connections
        self._interval = 1 / per_second if per_second else 0.0
        self._max_pause = max_pause_seconds
        self._hosts: dict[str, _Host] = {}
        # Held to acquire a slot; notified when one is released.
        self.condition = threading.Condition()

    def _host(self, name: str) -> _Host:
        return self._hosts.setdefault(name, _Host(float(self._connections)))

    def try_take(self, name: str) -> float:
        """Acquire a slot of a host without waiting; the caller holds ``condition``.

        Returns:
            0 when it was acquired, else the monotonic time of the next try, infinite when a slot has to be released
            first. Always 0 for the empty name, which means work without a request, and for a closed host, for which
            the caller fails without a request.
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

    def release(self, name: str) -> None:
        """Release a slot."""
        with self.condition:
            if name:
                self._host(name).active -= 1
            self.condition.notify()

    def succeeded(self, name: str) -> None:
        """Raise a host's connections by one for as many successes as it has connections."""
        with self.condition:
            host = self._host(name)
            host.allowed = min(host.allowed + 1 / host.allowed, float(self._connections))

    def overloaded(self, name: str, pause_seconds: float) -> None:
        """Halve a host's connections, and pause it for the time that it asked for, 0 = none."""
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
        """Record a response of a host, whatever its status."""
        with self.condition:
            self._host(name).failures = 0

    def not_reached(self, name: str) -> None:
        """Record a connection failure of a host; after many over a long time it is closed."""
        with self.condition:
            host, now = self._host(name), time.monotonic()
            host.failing_since = host.failing_since if host.failures else now
            host.failures += 1
            if host.failures >= DOWN_FAILURES and now - host.failing_since >= DOWN_SECONDS:
                host.closed_until, host.closed_code = now + DOWN_CLOSED_SECONDS, "host_down"
                host.failures = 0

    def closed(self, name: str) -> tuple[str, float] | None:
        """Return the reason and the remaining seconds of a closed host, ``None`` for an open one."""
        with self.condition:
            host = self._host(name)
            left = host.closed_until - time.monotonic()
            return (host.closed_code, left) if left > 0 else None


@dataclass(frozen=True)
class Slot:
    """What a piece of work waits for: permission for its next request.

    Attributes:
        host: Host of the next request, ``""`` = none.
        not_before: Monotonic time.
    """

    host: str = ""
    not_before: float = 0.0


# Work in steps: a generator that yields the slot it needs next, resumes when the slot is granted, and returns a result.
FetchSteps = Generator[Slot, None, Result]


class Scheduler(Generic[Result]):
    """Runs pieces of work on the threads that call it: whichever piece gets its slot runs its next step.

    A slow host or a pause delays no work for other hosts.

    Args:
        work: The pieces, not yet started.
        limiter: Grants the slots.
    """

    def __init__(self, work: Sequence[FetchSteps[Result]], limiter: HostLimiter) -> None:
        self._work = work
        self._limiter = limiter
        # Host -> work that waits for a slot there. Round robin over hosts: one that got a slot moves to the end.
        self._ready: dict[str, deque[int]] = {"": deque(range(len(work)))}
        self._later: list[tuple[float, int, str]] = []

    def run_one(self) -> Result:
        """Run steps of any pieces until one of them returns, and return its result.

        To be called once for each piece, from any number of threads.

        Raises:
            StoppedError: The run is being stopped.
        """
        while True:
            index, host = self._take()
            try:
                slot = next(self._work[index])
            except StopIteration as end:
                result: Result = end.value
                return result
            finally:
                self._limiter.release(host)
            self._put(index, slot)

    def _put(self, index: int, slot: Slot) -> None:
        with self._limiter.condition:
            if slot.not_before > time.monotonic():
                heapq.heappush(self._later, (slot.not_before, index, slot.host))
            else:
                self._ready.setdefault(slot.host, deque()).append(index)
            self._limiter.condition.notify()

    def _take(self) -> tuple[int, str]:
        """Return a piece of work whose slot is granted, and the host of the slot."""
        with self._limiter.condition:
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
                self._limiter.condition.wait(min(max(wait_until - now, 0.001), MAX_WAIT_SECONDS))

    def _pick(self) -> tuple[tuple[int, str] | None, float]:
        """Return work that may run now, or the time of the next try."""
        wait_until = time.monotonic() + MAX_WAIT_SECONDS
        for host in list(self._ready):
            waiting = self._ready[host]
            free_at = self._limiter.try_take(host)
            if free_at:
                wait_until = min(wait_until, free_at)
                continue
            index = waiting.popleft()
            del self._ready[host]
            if waiting:
                self._ready[host] = waiting
            return (index, host), 0.0
        return None, wait_until


def run_to_end(work: FetchSteps[Result], limiter: HostLimiter) -> Result:
    """Run one piece of work to its end and return its result."""
    return Scheduler([work], limiter).run_one()
