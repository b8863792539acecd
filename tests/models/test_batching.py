import numpy as np
import pytest
import torch

from models.batching import collate, iterate_batches
from models.caching import CachedSource
from models.config import NetworkConfig
from models.errors import DataError
from tests.models.synthetic import ListSource, make_labels, random_labels, random_source

CONFIG = NetworkConfig(max_steps=3, max_tokens=2)


def steps(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    return np.array(values, dtype=np.float16).reshape(-1, 1)


def test_batch_is_padded_to_its_longest_clip_with_a_mask() -> None:
    batch = collate([{"frames": steps(1, 2)}, {"frames": steps()}, {"frames": steps(3)}], CONFIG)
    assert batch.features["frames"].dtype == torch.float32
    assert batch.features["frames"][..., 0].tolist() == [[1, 2], [0, 0], [3, 0]]
    assert batch.masks["frames"].tolist() == [[True, True], [False, False], [True, False]]


def test_batch_without_any_step_still_has_one_masked() -> None:
    batch = collate([{"frames": steps()}], CONFIG)
    assert batch.features["frames"].shape == (1, 1, 1)
    assert not batch.masks["frames"].any()


def test_long_clips_are_thinned_evenly_and_texts_cut() -> None:
    batch = collate([{"frames": steps(*range(9)), "text": steps(*range(9))}], CONFIG)
    assert batch.features["frames"][0, :, 0].tolist() == [1, 4, 7]
    assert batch.features["text"][0, :, 0].tolist() == [0, 1]


def test_each_clip_comes_once_with_its_labels_in_an_order_that_the_generator_sets() -> None:
    source = ListSource([{"frames": steps(i)} for i in range(10)], {"frames": 1})
    tags = np.arange(10).reshape(-1, 1) % 2 == 1
    labels = make_labels(np.arange(10), tags, num_categories=10, tags_known=np.arange(10) > 4)
    indices = np.array([9, 1, 3, 5, 7])

    def order(seed: int | None) -> list[int]:
        generator = None if seed is None else np.random.default_rng(seed)
        seen: list[int] = []
        for batch in iterate_batches(source, indices, CONFIG, 2, labels=labels, generator=generator):
            assert batch.labels is not None
            seen += batch.labels.category.tolist()
            assert batch.features["frames"][:, 0, 0].tolist() == batch.labels.category.tolist()
            assert batch.labels.tags[:, 0].tolist() == [1.0] * len(batch.labels.category)
            assert torch.equal(batch.labels.tags_known, batch.labels.category > 4)
        return seen

    assert order(None) == [9, 1, 3, 5, 7]
    assert sorted(order(0)) == [1, 3, 5, 7, 9]
    assert order(0) == order(0)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1
    assert [len(b.masks["frames"]) for b in iterate_batches(source, indices, CONFIG, 2)] == [2, 2, 1]
    assert list(iterate_batches(source, np.array([], dtype=np.int64), CONFIG, 2)) == []


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"tags \(3, 1\)"):
        make_labels(np.zeros(4, np.int64), np.zeros((3, 1), bool), num_categories=1)
    with pytest.raises(DataError, match="from 0 to 2"):
        make_labels(np.array([0, 2]), np.zeros((2, 1), bool), num_categories=2)


def test_cache_reads_each_clip_once_while_there_is_room() -> None:
    source = random_source(4, {"frames": 8}, missing=0.0)
    sizes = [source[i]["frames"].nbytes for i in range(4)]
    source.num_reads = 0
    cached = CachedSource(source, sizes[0] + sizes[1])
    for _ in range(3):
        for index in range(2):
            assert np.array_equal(cached[index]["frames"], source[index]["frames"])
    assert source.num_reads == 2 + 6
    cached[2], cached[2]
    assert source.num_reads == 2 + 6 + 2
    assert (len(cached), cached.modality_dims) == (4, {"frames": 8})
    assert random_labels(4).category.shape == (4,)
