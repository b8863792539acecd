from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.inspect.similarity import BLOCK_ROWS, CosineFitness, fitness, nearest_rows, statistics, unit_rows
from tests.features.inspect.published import FEATURES


def test_statistics_are_those_of_the_numbers() -> None:
    found = statistics(FEATURES)
    assert found["mean"] == pytest.approx(26 / 6)
    assert (found["minimum"], found["maximum"]) == (0.0, 8.0)
    assert found["zeros_fraction"] == pytest.approx(1 / 6)
    assert found["mean_norm"] == pytest.approx((5 + 10 + 5) / 3)
    # The first two point the same way, the second and third meet at cosine 0.8.
    assert found["cosine_to_next_step"] == pytest.approx((1 + 0.8) / 2)
    assert found["standard_deviation"] == pytest.approx(float(np.std([3, 4, 6, 8, 0, 5])))
    assert statistics(FEATURES[:0]) == {}
    assert "cosine_to_next_step" not in statistics(FEATURES[:1])
    assert "cosine_to_next_step" not in statistics(np.zeros((3, 2), np.float32))


def test_unit_rows_have_length_1_and_zeros_stay() -> None:
    units = unit_rows(np.array([[3, 4], [0, 0]], np.float32))
    assert units.dtype == np.float32
    np.testing.assert_allclose(units, np.array([[0.6, 0.8], [0, 0]]), rtol=1e-6)


def test_a_row_is_never_its_own_neighbour_even_beside_its_twin() -> None:
    units = np.array([[1, 0], [1, 0], [0.6, 0.8]], np.float32)
    assert nearest_rows(units, 1) == [(0, 1.0), (2, pytest.approx(0.6))]
    assert nearest_rows(units[:1], 0) == []
    assert len(nearest_rows(np.eye(9, dtype=np.float32), 4)) == 5


def test_fitness_of_four_vectors_by_hand() -> None:
    vectors = np.array([[2, 0], [4, 0], [0, 3], [0, 0], [0, 3]], np.float32)
    found = fitness(vectors, ["a", "b", "b", "a", None])
    assert found is not None
    # Zeros take no part. Of the 6 pairs of the other four two are parallel, four at right angles.
    assert (found.num_clips, found.mean_norm) == (4, 3.0)
    assert found.norm_spread == pytest.approx(np.std([2, 4, 3, 3]) / 3)
    assert found.mean_cosine == pytest.approx(2 / 6)
    assert (found.lowest_cosine, found.highest_cosine) == (0.0, 1.0)
    # Of a, b, b with a category: each of the first two is nearest to the other, the third equally far from both.
    assert found.nearest_of_same_category == 0.0
    assert found.same_category_by_chance == pytest.approx(2 / 6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 5))
def test_fitness_agrees_with_all_pairs_counted_one_by_one(seed: int, count: int, width: int) -> None:
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(count, width)).astype(np.float32)
    names = [str(draw.integers(3)) for _ in range(count)]
    found = fitness(vectors, names)
    assert found is not None
    cosine = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in vectors] for a in vectors])
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    values = [cosine[pair] for pair in pairs]
    assert found.mean_cosine == pytest.approx(np.mean(values), abs=1e-5)
    assert found.lowest_cosine == pytest.approx(min(values), abs=1e-5)
    assert found.highest_cosine == pytest.approx(max(values), abs=1e-5)
    assert found.same_category_by_chance == pytest.approx(np.mean([names[i] == names[j] for i, j in pairs]))
    if width > 1:
        np.fill_diagonal(cosine, -2)
        same = [names[i] == names[int(cosine[i].argmax())] for i in range(count)]
        assert found.nearest_of_same_category == pytest.approx(np.mean(same))


def test_more_clips_than_a_block_are_compared_across_blocks() -> None:
    # Clip i and its twin i + N/2 stand in different blocks and have a category of their own.
    half = np.random.default_rng(0).normal(size=(BLOCK_ROWS, 8)).astype(np.float32)
    found = fitness(np.concatenate([half, 2 * half]), [str(i) for i in range(BLOCK_ROWS)] * 2)
    assert found is not None
    assert found.nearest_of_same_category == 1.0
    assert found.highest_cosine == pytest.approx(1)


def test_a_clip_beyond_the_first_block_is_not_compared_with_itself() -> None:
    vectors = np.random.default_rng(0).normal(size=(BLOCK_ROWS + 20, 32)).astype(np.float32)
    found = fitness(vectors, [str(i) for i in range(len(vectors))])
    assert found is not None
    assert found.nearest_of_same_category == 0.0
    assert found.highest_cosine < 0.95


def test_fewer_than_two_clips_have_no_fitness() -> None:
    assert fitness(np.zeros((0, 3), np.float32), []) is None
    assert fitness(np.array([[1, 1], [0, 0]], np.float32), ["a", "a"]) is None


@pytest.mark.parametrize(
    ("cosine", "spread", "expected"),
    [
        (0.95, 0.1, "^unfit for cosine.*subtract the mean vector first$"),
        (0.5, 0.1, "^rank by cosine, but do not threshold it.*direction$"),
        (0.49, 0.1, "^fit for cosine: the embeddings point in different directions$"),
        (0.0, 0.25, "^fit for cosine.*; norms differ widely: scale to norm 1"),
    ],
)
def test_the_remark_interprets_the_numbers(cosine: float, spread: float, expected: str) -> None:
    found = CosineFitness(9, 1.0, spread, cosine, 0.0, 1.0, None, None)
    assert re.search(expected, found.remark())
