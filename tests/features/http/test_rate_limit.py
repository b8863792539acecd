from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from features.base.errors import ClipError
from features.base.parallel import STOPPING, StoppedError
from features.http.rate_limit import HostLimiter, Scheduler, Slot, run_to_end

if TYPE_CHECKING:
    from features.http.rate_limit import FetchSteps


def take(limiter: HostLimiter, host: str) -> float:
    with limiter.condition:
        return limiter.try_take(host)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One number: the time."""
    now = [1000.0]
    monkeypatch.setattr("features.http.rate_limit.time.monotonic", lambda: now[0])
    return now


def test_a_host_has_so_many_connections_and_others_have_theirs() -> None:
    limiter = HostLimiter(2, 0, 60)
    assert [take(limiter, "a") for _ in range(3)] == [0, 0, math.inf]
    assert take(limiter, "b") == 0
    limiter.release("a")
    assert take(limiter, "a") == 0
    assert take(limiter, "a") == math.inf


def test_work_without_a_host_always_has_its_turn() -> None:
    limiter = HostLimiter(1, 1, 60)
    assert [take(limiter, "") for _ in range(5)] == [0] * 5


def test_the_rate_is_kept_whoever_asks(clock: list[float]) -> None:
    limiter = HostLimiter(100, 4, 60)
    granted = []
    for _ in range(1000):
        while take(limiter, "a") == 0:
            granted.append(clock[0])
        clock[0] += 0.01
    # 10 seconds at 4 a second, and one that may begin at once.
    assert 40 <= len(granted) <= 42
    for second in range(9):
        assert sum(1000 + second <= at < 1001 + second for at in granted) <= 5


def test_what_was_not_asked_for_cannot_be_made_up_for(clock: list[float]) -> None:
    limiter = HostLimiter(100, 10, 60)
    assert take(limiter, "a") == 0
    clock[0] += 1000
    assert [take(limiter, "a") == 0 for _ in range(4)] == [True, False, False, False]


def test_the_answer_says_when_to_ask_again(clock: list[float]) -> None:
    limiter = HostLimiter(100, 0.5, 60)
    assert take(limiter, "a") == 0
    assert take(limiter, "a") == pytest.approx(1001.95)
    limiter.overloaded("a", 7)
    assert take(limiter, "a") == 1007.0
    clock[0] = 1007.0
    assert take(limiter, "a") == 0


def test_an_overloaded_host_loses_connections_and_wins_them_back(clock: list[float]) -> None:
    limiter = HostLimiter(8, 0, 60)

    def num_free(host: str) -> int:
        taken = 0
        while take(limiter, host) == 0:
            taken += 1
        for _ in range(taken):
            limiter.release(host)
        return taken

    assert num_free("a") == 8
    for _ in range(5):
        limiter.overloaded("a", 0)
    # Five answers of one moment are one piece of news.
    assert (num_free("a"), num_free("b")) == (4, 8)
    for _ in range(9):
        clock[0] += 1
        limiter.overloaded("a", 0)
    assert num_free("a") == 1
    limiter.succeeded("a")
    assert num_free("a") == 2
    for _ in range(100):
        limiter.succeeded("a")
    assert num_free("a") == 8


def test_a_pause_beyond_the_limit_closes_the_host(clock: list[float]) -> None:
    limiter = HostLimiter(2, 0, 60)
    limiter.overloaded("a", 60)
    assert limiter.closed("a") is None
    limiter.overloaded("a", 61)
    assert limiter.closed("a") == ("retry_after_too_long", 61)
    assert limiter.closed("b") is None
    # Whoever wants to ask it gets a turn at once, to be told.
    assert [take(limiter, "a") for _ in range(9)] == [0] * 9
    for _ in range(9):
        limiter.release("a")
    clock[0] += 61
    assert limiter.closed("a") is None
    assert [take(limiter, "a") for _ in range(2)] == [0, math.inf]


def fail_for(limiter: HostLimiter, clock: list[float], seconds: float, times: int) -> None:
    for _ in range(times):
        limiter.not_reached("a")
        clock[0] += seconds / (times - 1)


def test_a_host_that_does_not_answer_for_long_is_closed_for_a_while(clock: list[float]) -> None:
    limiter = HostLimiter(2, 0, 60)
    fail_for(limiter, clock, 59, 100)
    assert limiter.closed("a") is None
    limiter.reached("a")
    fail_for(limiter, clock, 600, 19)
    assert limiter.closed("a") is None
    limiter.not_reached("a")
    assert limiter.closed("a") == ("host_down", 300)
    assert limiter.closed("b") is None
    clock[0] += 300
    assert limiter.closed("a") is None
    # Then it gets as many chances as before.
    fail_for(limiter, clock, 59, 100)
    assert limiter.closed("a") is None


def test_a_turn_given_back_wakes_who_waits() -> None:
    limiter = HostLimiter(1, 0, 60)
    assert take(limiter, "a") == 0
    timer = threading.Timer(0.05, limiter.release, ["a"])
    timer.start()
    with limiter.condition:
        started = time.monotonic()
        assert limiter.condition.wait(10)
        assert time.monotonic() - started < 5
        assert limiter.try_take("a") == 0
    timer.join()


@pytest.fixture(autouse=True)
def _nothing_stops() -> None:
    STOPPING.clear()


def run_all(work: list[FetchSteps[int]], limiter: HostLimiter, threads: int) -> list[int]:
    scheduler = Scheduler(work, limiter)
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(scheduler.run_one) for _ in work]]


def at_once(number: int) -> FetchSteps[int]:
    yield Slot()
    return number


@pytest.mark.parametrize("threads", [1, 3, 20])
def test_every_piece_comes_to_its_end_once(threads: int) -> None:
    assert sorted(run_all([at_once(number) for number in range(50)], HostLimiter(1, 0, 60), threads)) == list(range(50))


def test_no_more_at_one_host_than_allowed() -> None:
    lock = threading.Lock()
    active = {"a": 0, "b": 0}
    most = {"a": 0, "b": 0}

    def ask(host: str, number: int) -> FetchSteps[int]:
        for _ in range(2):
            yield Slot(host)
            with lock:
                active[host] += 1
                most[host] = max(most[host], active[host])
            time.sleep(0.002)
            with lock:
                active[host] -= 1
        return number

    run_all([ask("ab"[number % 2], number) for number in range(40)], HostLimiter(3, 0, 60), 12)
    assert most == {"a": 3, "b": 3}


def test_a_slow_host_holds_up_nobody_else() -> None:
    release = threading.Event()
    done: list[str] = []

    def ask(host: str) -> FetchSteps[int]:
        yield Slot(host)
        if host == "slow":
            assert release.wait(10)
        done.append(host)
        if done.count("quick") == 20:
            release.set()
        return 0

    # All the slow ones first, and only two threads: one of them is left for the others.
    run_all([ask("slow") for _ in range(5)] + [ask("quick") for _ in range(20)], HostLimiter(1, 0, 60), 2)
    assert done == ["quick"] * 20 + ["slow"] * 5


def test_a_pause_takes_no_thread() -> None:
    def pause() -> FetchSteps[int]:
        yield Slot("a")
        yield Slot("a", time.monotonic() + 0.3)
        return 0

    started = time.monotonic()
    run_all([pause() for _ in range(30)], HostLimiter(1, 0, 60), 1)
    # One after the other they would take 9 seconds.
    assert 0.3 <= time.monotonic() - started < 4


def test_an_error_goes_to_whoever_finishes_the_piece_and_the_turn_comes_back() -> None:
    def fail() -> FetchSteps[int]:
        yield Slot("a")
        raise ClipError("broken", "it is")

    limiter = HostLimiter(1, 0, 60)
    for _ in range(3):
        with pytest.raises(ClipError, match="broken"):
            run_to_end(fail(), limiter)
    assert run_to_end(at_once(7), limiter) == 7


def test_a_stop_ends_the_wait() -> None:
    def never() -> FetchSteps[int]:
        yield Slot("a", time.monotonic() + 1000)
        return 0

    timer = threading.Timer(0.1, STOPPING.set)
    timer.start()
    try:
        with pytest.raises(StoppedError):
            run_to_end(never(), HostLimiter(1, 0, 60))
    finally:
        timer.join()
        STOPPING.clear()
