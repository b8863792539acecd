from __future__ import annotations

import functools
import itertools
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.backbones.extractor.extractor import StepLabels, embed_clips, one_step
from features.backbones.extractor.streaming import BatchSettings, Computed, Item, stream_clips
from features.base.errors import ShardError, ToolError
from features.base.parallel import BusyTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from features.formats.clip_data import ClipFeatures, Float32

Clip = list[int]
DIM = 2


class Doubler:
    """A network that gives (x, 2x) for a number x, and remembers its batches."""

    name = "doubler"

    def __init__(self, max_in_flight: int = 1) -> None:
        self.max_in_flight = max_in_flight
        self.busy = BusyTime()
        self.batches: list[list[int]] = []
        self._asked: deque[int] = deque()
        self.most_in_flight = 0

    def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], Float32]:
        number = len(self.batches)
        self.batches.append(inputs[0].reshape(len(inputs[0]), -1)[:, 0].tolist())
        self._asked.append(number)
        self.most_in_flight = max(self.most_in_flight, len(self._asked))

        def result() -> Float32:
            assert self._asked.popleft() == number
            return self(*inputs)

        return result

    def __call__(self, *inputs: npt.NDArray[Any]) -> Float32:
        first = inputs[0].reshape(len(inputs[0]), -1)[:, 0].astype(np.float32)
        return np.stack([first, 2 * first], axis=1)


def item(number: int, width: int = 1) -> Item[StepLabels]:
    return one_step(np.full(width, number, np.int64), time_seconds=number / 10)


def one_by_one(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
    for number in clip:
        yield functools.partial(_one, number)


def _one(number: int) -> list[Item[StepLabels]]:
    return [item(number)]


def by_width(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
    """Items of three shapes, in one piece a clip."""
    yield lambda: [item(number, 1 + number % 3) for number in clip]


def embed(
    clips: Iterable[Clip | None],
    pieces: Callable[[Clip], Iterator[Callable[[], Sequence[Item[StepLabels]]]]] = one_by_one,
    *,
    batch_size: int = 4,
    runner: Doubler | None = None,
) -> Iterator[ClipFeatures]:
    return embed_clips(clips, pieces, runner or Doubler(), DIM, BatchSettings(batch_size, workers=2))


def numbers(found: Iterable[ClipFeatures]) -> list[list[int]]:
    return [features.features[:, 0].astype(int).tolist() for features in found]


CLIPS: list[Clip | None] = [[1, 2, 3], None, [], [4, 5, 6, 7, 8, 9], [10]]


def test_each_clip_gets_its_own_rows_and_times_in_order() -> None:
    found = list(embed(CLIPS))
    assert numbers(found) == [[1, 2, 3], [], [], [4, 5, 6, 7, 8, 9], [10]]
    for features in found:
        np.testing.assert_array_equal(features.features[:, 1], 2 * features.features[:, 0])
        np.testing.assert_allclose(features.time_seconds, features.features[:, 0] / 10)
        assert features.features.shape == (len(features.time_seconds), DIM)
        assert (features.token_id, features.field_id, features.problem) == (None, None, "")


def test_batches_are_gathered_across_clips_and_the_rest_is_filled_up_with_copies() -> None:
    runner = Doubler()
    list(embed(CLIPS, runner=runner))
    assert runner.batches == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 10, 10]]


@given(
    clips=st.lists(st.none() | st.lists(st.integers(0, 999), max_size=9), max_size=12),
    batch_size=st.integers(1, 5),
    max_in_flight=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_clips_they_come_back(clips: list[Clip | None], batch_size: int, max_in_flight: int) -> None:
    runner = Doubler(max_in_flight)
    found = list(embed(clips, by_width, batch_size=batch_size, runner=runner))
    assert numbers(found) == [clip or [] for clip in clips]
    assert all(len(batch) == batch_size for batch in runner.batches)
    assert runner.most_in_flight <= max_in_flight + 1


def test_as_many_batches_are_in_flight_as_the_runner_takes() -> None:
    runner = Doubler(3)
    list(embed([list(range(100))], runner=runner))
    assert runner.most_in_flight == 4


def test_the_batches_do_not_depend_on_the_threads() -> None:
    def wait_for(number: int) -> list[Item[StepLabels]]:
        time.sleep(0.002 * (number % 3))
        return [item(number, 1 + number % 2)]

    def slow(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
        for number in clip:
            yield functools.partial(wait_for, number)

    clips: list[Clip | None] = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10, 11]]
    one, other = Doubler(1), Doubler(2)
    list(embed(clips, slow, runner=one))
    list(embed(clips, slow, runner=other))
    assert one.batches == other.batches


def test_rows_of_an_item_with_steps_come_with_tokens_and_fields() -> None:
    class Spread(Doubler):
        """A network that gives three rows for each item."""

        def __call__(self, *inputs: npt.NDArray[Any]) -> Float32:
            rows = super().__call__(*inputs)
            return np.stack([rows, rows + 1, rows + 2], axis=1)

    def words(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
        for number, length in enumerate(clip):
            steps = StepLabels(
                np.zeros(length, np.float32), np.arange(length, dtype=np.int32), np.full(length, number, np.uint8)
            )
            yield functools.partial(list, [Item((np.array([10]),), steps)])

    (found,) = embed([[2, 3]], words, runner=Spread())
    assert found.features[:, 0].tolist() == [10, 11, 10, 11, 12]
    assert found.token_id is not None
    assert found.field_id is not None
    assert found.token_id.tolist() == [0, 1, 0, 1, 2]
    assert found.field_id.tolist() == [0, 0, 1, 1, 1]


def _breaks_while_cut(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
    yield from one_by_one(clip)
    if 13 in clip:
        raise ShardError("cut in half")


def _breaks_in_a_piece(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
    def broken() -> Sequence[Item[StepLabels]]:
        raise ShardError("cut in half")

    for call, number in zip(one_by_one(clip), clip, strict=True):
        yield broken if number == 13 else call


@pytest.mark.parametrize("pieces", [_breaks_while_cut, _breaks_in_a_piece])
def test_a_clip_that_cannot_be_read_is_a_problem_of_its_own(
    pieces: Callable[[Clip], Iterator[Callable[[], Sequence[Item[StepLabels]]]]],
) -> None:
    found = list(embed([[1, 2], [12, 13, 14], [3]], pieces))
    assert numbers(found) == [[1, 2], [], [3]]
    assert [features.problem for features in found] == ["", "cut in half", ""]
    assert found[1].features.shape == (0, DIM)


def test_other_errors_stop_everything_and_leave_no_thread() -> None:
    class Failing(Doubler):
        def __call__(self, *inputs: npt.NDArray[Any]) -> Float32:
            raise ToolError(f"the network broke at {inputs}")

    def broken(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
        for _ in clip:
            raise ZeroDivisionError
        yield from ()

    before = threading.active_count()
    with pytest.raises(ToolError, match="the network broke"):
        list(embed(CLIPS, runner=Failing()))
    with pytest.raises(ZeroDivisionError):
        list(embed(CLIPS, broken))
    assert threading.active_count() == before


@pytest.mark.parametrize("shape", [(3, 2), (4, 1, 2)])
def test_a_network_that_gives_too_little_is_named(shape: tuple[int, ...]) -> None:
    class Short(Doubler):
        def __call__(self, *inputs: npt.NDArray[Any]) -> Float32:
            return np.zeros(shape, np.float32) + len(inputs)

    def pairs(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
        for _ in clip:
            yield functools.partial(list, [Item((np.array([10]),), StepLabels(np.zeros(2, np.float32)))])

    with pytest.raises(ToolError, match="a network gave an output of shape"):
        list(embed([[1, 2, 3, 4]], pairs, runner=Short()))


def test_as_much_waits_as_memory_holds_but_at_least_a_batch() -> None:
    assert BatchSettings(4, 1).max_held == 64
    assert BatchSettings(4, 1, item_bytes=8 << 20).max_held == 32
    assert BatchSettings(4, 1, item_bytes=1 << 30).max_held == 4


@pytest.mark.parametrize("follower", [None, [7], [7, 8, 9]])
def test_a_clip_never_waits_for_more_than_so_many_others(follower: Clip | None) -> None:
    taken = 0

    def endless() -> Iterator[Clip | None]:
        nonlocal taken
        # Two is alone in its shape: no other item will ever fill its batch.
        yield [2]
        for _ in itertools.count():
            taken += 1
            yield follower

    found = embed(endless(), by_width)
    assert numbers([next(found)]) == [[2]]
    settings = BatchSettings(4, workers=2)
    # Held for a batch, waiting for a thread, and prepared ahead of the network.
    assert taken <= settings.max_held + 50
    found.close()  # type: ignore[attr-defined]  # a generator


def test_a_clip_is_done_with_when_the_next_is_asked_for() -> None:
    """Whoever yields clips may take back what one of them reads from."""
    open_now: list[int] = []

    def clips() -> Iterator[Clip]:
        for number in range(20):
            open_now.append(number)
            yield [number]
            open_now.remove(number)

    def reading(clip: Clip) -> Iterator[Callable[[], Sequence[Item[StepLabels]]]]:
        assert open_now == clip
        yield from one_by_one(clip)

    assert numbers(embed(clips(), reading)) == [[number] for number in range(20)]


def test_batches_that_were_started_are_waited_for_when_the_caller_leaves() -> None:
    asked: list[int] = []

    class Watched(Doubler):
        def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], Float32]:
            number, result = len(asked), super().start(*inputs)
            asked.append(0)

            def wait() -> Float32:
                asked[number] += 1
                return result()

            return wait

    found = embed([[1, 2], *[list(range(40))] * 3], runner=Watched(3))
    next(found)
    found.close()  # type: ignore[attr-defined]  # a generator
    assert asked
    assert set(asked) == {1}


def test_results_that_need_no_network_come_back_in_order() -> None:
    def computed(clip: Clip) -> Iterator[Callable[[], Sequence[Computed[str, int]]]]:
        for number in clip:
            yield functools.partial(_computed, number)

    found = list(stream_clips(CLIPS, computed, None, BatchSettings(4, workers=2)))
    assert [clip.results() for clip in found] == [[(str(number), number) for number in clip or []] for clip in CLIPS]


def _computed(number: int) -> list[Computed[str, int]]:
    return [Computed(str(number), number)]


def test_an_item_without_a_network_is_an_error() -> None:
    with pytest.raises(TypeError, match="an item needs a network"):
        list(embed_clips([[1]], one_by_one, None, DIM, BatchSettings(1, workers=1)))
