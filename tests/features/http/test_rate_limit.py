from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from features.base.errors import ClipError
from features.base.parallel import STOPPING, StoppedError
from features.http.rate_limit import Backlog, HostGates, Turn, finish

if TYPE_CHECKING:
    from features.http.rate_limit import Steps


def take(gates: HostGates, host: str) -> float:
    with gates.condition:
        return gates.try_take(host)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One number: the time."""
    now = [1000.0]
    monkeypatch.setattr("features.http.rate_limit.time.monotonic", lambda: now[0])
    return now


def test_a_host_has_so_many_connections_and_others_have_theirs() -> None:
    gates = HostGates(2, 0, 60)
    assert [take(gates, "a") for _ in range(3)] == [0, 0, math.inf]
    assert take(gates, "b") == 0
    gates.give_back("a")
    assert take(gates, "a") == 0
    assert take(gates, "a") == math.inf


def test_work_without_a_host_always_has_its_turn() -> None:
    gates = HostGates(1, 1, 60)
    assert [take(gates, "") for _ in range(5)] == [0] * 5


def test_the_rate_is_kept_whoever_asks(clock: list[float]) -> None:
    gates = HostGates(100, 4, 60)
    granted = []
    for _ in range(1000):
        while take(gates, "a") == 0:
            granted.append(clock[0])
        clock[0] += 0.01
    # 10 seconds at 4 a second, and one that may begin at once.
    assert 40 <= len(granted) <= 42
    for second in range(9):
        assert sum(1000 + second <= at < 1001 + second for at in granted) <= 5


def test_what_was_not_asked_for_cannot_be_made_up_for(clock: list[float]) -> None:
    gates = HostGates(100, 10, 60)
    assert take(gates, "a") == 0
    clock[0] += 1000
    assert [take(gates, "a") == 0 for _ in range(4)] == [True, False, False, False]


def test_the_answer_says_when_to_ask_again(clock: list[float]) -> None:
    gates = HostGates(100, 0.5, 60)
    assert take(gates, "a") == 0
    assert take(gates, "a") == pytest.approx(1001.95)
    gates.overloaded("a", 7)
    assert take(gates, "a") == 1007.0
    clock[0] = 1007.0
    assert take(gates, "a") == 0


def test_an_overloaded_host_loses_connections_and_wins_them_back(clock: list[float]) -> None:
    gates = HostGates(8, 0, 60)

    def num_free(host: str) -> int:
        taken = 0
        while take(gates, host) == 0:
            taken += 1
        for _ in range(taken):
            gates.give_back(host)
        return taken

    assert num_free("a") == 8
    for _ in range(5):
        gates.overloaded("a", 0)
    # Five answers of one moment are one piece of news.
    assert (num_free("a"), num_free("b")) == (4, 8)
    for _ in range(9):
        clock[0] += 1
        gates.overloaded("a", 0)
    assert num_free("a") == 1
    gates.went_well("a")
    assert num_free("a") == 2
    for _ in range(100):
        gates.went_well("a")
    assert num_free("a") == 8


def test_a_pause_beyond_the_limit_closes_the_host(clock: list[float]) -> None:
    gates = HostGates(2, 0, 60)
    gates.overloaded("a", 60)
    assert gates.closed("a") is None
    gates.overloaded("a", 61)
    assert gates.closed("a") == ("retry_after_too_long", 61)
    assert gates.closed("b") is None
    # Whoever wants to ask it gets a turn at once, to be told.
    assert [take(gates, "a") for _ in range(9)] == [0] * 9
    for _ in range(9):
        gates.give_back("a")
    clock[0] += 61
    assert gates.closed("a") is None
    assert [take(gates, "a") for _ in range(2)] == [0, math.inf]


def fail_for(gates: HostGates, clock: list[float], seconds: float, times: int) -> None:
    for _ in range(times):
        gates.not_reached("a")
        clock[0] += seconds / (times - 1)


def test_a_host_that_does_not_answer_for_long_is_closed_for_a_while(clock: list[float]) -> None:
    gates = HostGates(2, 0, 60)
    fail_for(gates, clock, 59, 100)
    assert gates.closed("a") is None
    gates.reached("a")
    fail_for(gates, clock, 600, 19)
    assert gates.closed("a") is None
    gates.not_reached("a")
    assert gates.closed("a") == ("host_down", 300)
    assert gates.closed("b") is None
    clock[0] += 300
    assert gates.closed("a") is None
    # Then it gets as many chances as before.
    fail_for(gates, clock, 59, 100)
    assert gates.closed("a") is None


def test_a_turn_given_back_wakes_who_waits() -> None:
    gates = HostGates(1, 0, 60)
    assert take(gates, "a") == 0
    timer = threading.Timer(0.05, gates.give_back, ["a"])
    timer.start()
    with gates.condition:
        started = time.monotonic()
        assert gates.condition.wait(10)
        assert time.monotonic() - started < 5
        assert gates.try_take("a") == 0
    timer.join()


@pytest.fixture(autouse=True)
def _nothing_stops() -> None:
    STOPPING.clear()


def run_all(work: list[Steps[int]], gates: HostGates, threads: int) -> list[int]:
    backlog = Backlog(work, gates)
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(backlog.finish_one) for _ in work]]


def at_once(number: int) -> Steps[int]:
    yield Turn()
    return number


@pytest.mark.parametrize("threads", [1, 3, 20])
def test_every_piece_comes_to_its_end_once(threads: int) -> None:
    assert sorted(run_all([at_once(number) for number in range(50)], HostGates(1, 0, 60), threads)) == list(range(50))


def test_no_more_at_one_host_than_allowed() -> None:
    lock = threading.Lock()
    active = {"a": 0, "b": 0}
    most = {"a": 0, "b": 0}

    def ask(host: str, number: int) -> Steps[int]:
        for _ in range(2):
            yield Turn(host)
            with lock:
                active[host] += 1
                most[host] = max(most[host], active[host])
            time.sleep(0.002)
            with lock:
                active[host] -= 1
        return number

    run_all([ask("ab"[number % 2], number) for number in range(40)], HostGates(3, 0, 60), 12)
    assert most == {"a": 3, "b": 3}


def test_a_slow_host_holds_up_nobody_else() -> None:
    release = threading.Event()
    done: list[str] = []

    def ask(host: str) -> Steps[int]:
        yield Turn(host)
        if host == "slow":
            assert release.wait(10)
        done.append(host)
        if done.count("quick") == 20:
            release.set()
        return 0

    # All the slow ones first, and only two threads: one of them is left for the others.
    run_all([ask("slow") for _ in range(5)] + [ask("quick") for _ in range(20)], HostGates(1, 0, 60), 2)
    assert done == ["quick"] * 20 + ["slow"] * 5


def test_a_pause_takes_no_thread() -> None:
    def pause() -> Steps[int]:
        yield Turn("a")
        yield Turn("a", time.monotonic() + 0.3)
        return 0

    started = time.monotonic()
    run_all([pause() for _ in range(30)], HostGates(1, 0, 60), 1)
    # One after the other they would take 9 seconds.
    assert 0.3 <= time.monotonic() - started < 4


def test_an_error_goes_to_whoever_finishes_the_piece_and_the_turn_comes_back() -> None:
    def fail() -> Steps[int]:
        yield Turn("a")
        raise ClipError("broken", "it is")

    gates = HostGates(1, 0, 60)
    for _ in range(3):
        with pytest.raises(ClipError, match="broken"):
            finish(fail(), gates)
    assert finish(at_once(7), gates) == 7


def test_a_stop_ends_the_wait() -> None:
    def never() -> Steps[int]:
        yield Turn("a", time.monotonic() + 1000)
        return 0

    timer = threading.Timer(0.1, STOPPING.set)
    timer.start()
    try:
        with pytest.raises(StoppedError):
            finish(never(), HostGates(1, 0, 60))
    finally:
        timer.join()
        STOPPING.clear()
