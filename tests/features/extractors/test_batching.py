from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.extractors.batching import BatchRule, run_in_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIPS = st.lists(st.lists(st.integers(0, 99), max_size=12), max_size=30)


def _rule(num_keys: int, batch_size: int, max_held: int) -> BatchRule[int]:
    return BatchRule[int](key=lambda item: item % num_keys, batch_size=batch_size, max_held=max_held)


@given(clips=CLIPS, num_keys=st.integers(1, 4), batch_size=st.integers(1, 6), max_held=st.integers(0, 12))
def test_every_item_gets_its_own_result_whatever_the_batches(
    clips: list[list[int]], num_keys: int, batch_size: int, max_held: int
) -> None:
    batches: list[list[int]] = []

    def run(items: list[int]) -> list[int]:
        batches.append(items)
        return [-item for item in items]

    found = list(run_in_batches(clips, run, _rule(num_keys, batch_size, max_held)))
    assert found == [[-item for item in clip] for clip in clips]
    assert all(1 <= len(items) <= batch_size for items in batches)
    assert all(len({item % num_keys for item in items}) == 1 for items in batches)
    assert sum(len(items) for items in batches) == sum(len(clip) for clip in clips)


@given(clips=CLIPS, num_keys=st.integers(1, 4), batch_size=st.integers(1, 6), max_held=st.integers(0, 12))
def test_at_most_max_held_and_one_clips_are_taken_ahead(
    clips: list[list[int]], num_keys: int, batch_size: int, max_held: int
) -> None:
    taken = 0

    def count() -> Iterator[list[int]]:
        nonlocal taken
        for clip in clips:
            taken += 1
            yield clip

    rule = _rule(num_keys, batch_size, max_held)
    for index, _ in enumerate(run_in_batches(count(), lambda items: items, rule)):
        assert taken - index <= max_held + 1


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ([[0, 2], [4, 6, 8]], [[0, 2, 4], [6, 8]]),
        ([[1, 2, 3], [4]], [[1, 3], [2, 4]]),
        ([[], [2], []], [[2]]),
    ],
)
def test_batches_reach_across_clips(clips: list[list[int]], expected: list[list[int]]) -> None:
    batches: list[list[int]] = []

    def run(items: list[int]) -> list[int]:
        batches.append(items)
        return items

    assert list(run_in_batches(clips, run, _rule(2, 3, 100))) == clips
    assert batches == expected


def test_a_clip_is_given_back_as_soon_as_it_is_complete() -> None:
    def clips() -> Iterator[list[int]]:
        yield [1, 1]
        raise AssertionError("taken though the first clip was complete")

    assert next(run_in_batches(clips(), lambda items: items, _rule(1, 2, 100))) == [1, 1]


def test_a_result_missing_from_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(run_in_batches([[1, 2]], lambda items: items[:-1], _rule(1, 2, 4)))
