from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from models.data.prefetching import prefetched

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_items_come_in_their_order_and_whole() -> None:
    with prefetched(iter(range(50)), depth=3) as items:
        assert list(items) == list(range(50))


def test_at_most_depth_items_are_made_ahead() -> None:
    made: list[int] = []
    first_taken = threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    with prefetched(numbers(), depth=2) as items:
        assert next(items) == 0
        first_taken.wait(0.3)  # time to run ahead, if it would
        # One taken, two in the queue, and one in the hand of the thread.
        assert len(made) <= 4


def test_error_is_raised_where_its_item_would_have_come() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("item two")

    with prefetched(numbers()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="item two"):
            next(items)


def test_reader_that_leaves_ends_the_thread() -> None:
    before = threading.active_count()
    with prefetched(iter(range(1000)), depth=1) as items:
        next(items)
    assert threading.active_count() == before
