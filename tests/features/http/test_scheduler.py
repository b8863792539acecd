from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from features.base.errors import ClipError
from features.base.parallel import STOPPING, StoppedError
from features.http.rate_limit import HostGates
from features.http.scheduler import Backlog, Turn, finish

if TYPE_CHECKING:
    from features.http.scheduler import Steps


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
