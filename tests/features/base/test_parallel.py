from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, TypeVar

import pytest

from features.base.parallel import WorkerPool, num_cpus, prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    with WorkerPool(workers) as pool:
        yield from pool.ordered_map(function, items)


class Source:
    """Counts the items that were asked for."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked = 0

    def __iter__(self) -> Iterator[int]:
        for item in range(self.number):
            self.asked += 1
            yield item


def test_results_keep_the_order_of_the_items() -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0.0)
        return item * item

    assert list(ordered_map(slow_at_first, range(30), 4)) == [item * item for item in range(30)]
    assert list(ordered_map(slow_at_first, [], 4)) == []


def test_as_many_run_at_a_time_as_there_are_workers() -> None:
    # Each of three waits for the other two: with fewer workers the barrier would break.
    barrier = threading.Barrier(3, timeout=10)
    assert list(ordered_map(lambda _: barrier.wait() >= 0, range(9), 3)) == [True] * 9


@pytest.mark.parametrize("workers", [1, 3])
def test_few_results_wait_however_long_the_input(workers: int) -> None:
    source = Source(1000)
    results = ordered_map(lambda item: item, source, workers)
    assert source.asked == 0
    for taken in range(1, 6):
        next(results)
        assert source.asked <= 4 * workers + taken
    results.close()
    assert source.asked < 1000


def test_an_exception_comes_at_its_turn_and_stops_the_rest() -> None:
    source = Source(1000)

    def fail_at_five(item: int) -> int:
        if item == 5:
            raise RuntimeError("item five")
        return item

    results = ordered_map(fail_at_five, source, 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="item five"):
        next(results)
    assert source.asked <= 5 + 4 * 2


def test_after_an_exception_what_waits_is_not_started() -> None:
    started: list[int] = []

    def fail_at_once(item: int) -> None:
        started.append(item)
        if item == 0:
            raise RuntimeError("item nought")
        time.sleep(0.2)

    with pytest.raises(RuntimeError, match="item nought"):
        list(ordered_map(fail_at_once, range(100), 1))
    assert len(started) <= 2


def test_no_call_outlives_a_map_that_is_left() -> None:
    running, ended = threading.Event(), threading.Event()

    def slow(item: int) -> int:
        if item:
            running.set()
            time.sleep(0.3)
            ended.set()
        return item

    # The pool goes on, as shards share it: only what this map started is waited for.
    with WorkerPool(2) as pool:
        results = pool.ordered_map(slow, range(2))
        assert next(results) == 0
        assert running.wait(10)
        results.close()
        assert ended.is_set()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt: a process started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_no_call_outlives_a_map_whose_caller_is_interrupted_while_it_waits(interruptible: None) -> None:
    ended = threading.Event()
    main = threading.get_ident()

    def slow(item: int) -> int:
        time.sleep(0.2)
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.3)
        ended.set()
        return item

    with WorkerPool(1) as pool:
        results = pool.ordered_map(slow, range(1))
        with pytest.raises(KeyboardInterrupt):
            next(results)
        assert ended.is_set()


def test_an_exception_of_the_input_reaches_the_caller() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("input is gone")

    with pytest.raises(OSError, match="input is gone"):
        list(ordered_map(lambda item: item, broken(), 2))


def test_cpus_are_those_of_this_process() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert num_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert num_cpus() == len(before)


def test_items_come_in_order_from_another_thread() -> None:
    threads: set[int] = set()

    def numbers() -> Iterator[int]:
        for number in range(50):
            threads.add(threading.get_ident())
            yield number

    assert list(prefetch(numbers(), 3)) == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("items", [[], [None], [None, None]])
def test_nothing_and_none_are_items_like_others(items: list[None]) -> None:
    assert list(prefetch(items, 1)) == items


@pytest.mark.parametrize("depth", [1, 4])
def test_no_more_than_depth_items_are_taken_ahead(depth: int) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    items = prefetch(endless(), depth)
    assert next(items) == 1
    # One was handed over, depth wait in the queue, and one is in the hand of the thread.
    deadline = time.monotonic() + 20
    while taken < depth + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert taken == depth + 2
    items.close()


def test_an_error_comes_after_what_was_before_it() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    seen: list[int] = []
    with pytest.raises(KeyError, match="three"):
        seen.extend(prefetch(breaking(), 5))
    assert seen == [1, 2]


def test_an_iterable_that_cannot_be_iterated_is_an_error_here() -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise KeyError("no beginning")

    with pytest.raises(KeyError, match="no beginning"):
        next(prefetch(Broken(), 1))


def test_work_that_takes_long_hears_of_a_caller_that_has_left_and_of_no_other() -> None:
    left = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        assert left.wait(20)
        yield 2

    items = prefetch(slow(), 1, left.set)
    next(items)
    started = time.monotonic()
    items.close()
    assert time.monotonic() - started < 10
    left.clear()
    assert list(prefetch([1, 2], 1, left.set)) == [1, 2]
    assert not left.is_set()


def test_stopping_early_closes_the_iterable_and_ends_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = prefetch(endless(), 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_a_second_signal_does_not_leave_the_thread_behind() -> None:
    has_ended = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        try:
            # Longer than it takes the signal to come.
            time.sleep(0.5)
            yield 2
        finally:
            has_ended.set()

    def interrupt(_number: int, _frame: object) -> None:
        raise SystemExit(143)

    taken = prefetch(items(), 1)
    assert next(taken) == 1
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(SystemExit):
            taken.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert has_ended.is_set()
