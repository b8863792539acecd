from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from features.base.prefetch import prefetch

if TYPE_CHECKING:
    from collections.abc import Iterator


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
