from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from features.base.errors import DataError
from models.config.network import NetworkConfig
from models.data.batching import Batch, _split, collate, iterate_batches
from models.data.distributed import BatchSlice
from models.data.sources import CachedSource, ClipFeatures
from tests.models.synthetic import ListSource, make_labels, random_source

CONFIG = NetworkConfig(max_steps=3, max_tokens=2)


def steps(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    return np.array(values, dtype=np.float16).reshape(-1, 1)


def batch_of(
    *clips: ClipFeatures, config: NetworkConfig = CONFIG, generator: np.random.Generator | None = None
) -> Batch:
    return collate(ListSource(clips, dict.fromkeys(clips[0], 1)), np.arange(len(clips)), config, generator=generator)


def test_batch_is_padded_to_its_longest_clip_with_a_mask() -> None:
    batch = batch_of({"frames": steps(1, 2)}, {"frames": steps()}, {"frames": steps(3)})
    assert batch.features["frames"].dtype == torch.float32
    assert batch.features["frames"][..., 0].tolist() == [[1, 2], [0, 0], [3, 0]]
    assert batch.masks["frames"].tolist() == [[True, True], [False, False], [True, False]]


def test_batch_without_any_step_still_has_one_masked() -> None:
    batch = batch_of({"frames": steps()})
    assert batch.features["frames"].shape == (1, 1, 1)
    assert not batch.masks["frames"].any()


def test_long_clips_are_thinned_evenly_and_texts_cut() -> None:
    batch = batch_of({"frames": steps(*range(9)), "text": steps(*range(9))})
    assert batch.features["frames"][0, :, 0].tolist() == [1, 4, 7]
    assert batch.features["text"][0, :, 0].tolist() == [0, 1]


def test_random_steps_stay_in_their_part_and_only_training_draws_them() -> None:
    config = replace(CONFIG, random_steps=True)
    clip = {"frames": steps(*range(9)), "text": steps(*range(9))}
    drawn = [batch_of(clip, config=config, generator=np.random.default_rng(seed)) for seed in range(40)]
    picked = np.array([batch.features["frames"][0, :, 0].tolist() for batch in drawn])
    for part in range(3):
        assert set(picked[:, part]) == {3 * part, 3 * part + 1, 3 * part + 2}
    assert all(batch.features["text"][0, :, 0].tolist() == [0, 1] for batch in drawn)
    assert batch_of(clip, config=config).features["frames"][0, :, 0].tolist() == [1, 4, 7]
    again = batch_of(clip, generator=np.random.default_rng(0))
    assert again.features["frames"][0, :, 0].tolist() == [1, 4, 7]


def test_only_the_modalities_of_the_network_are_read_in_its_order() -> None:
    clip = {"frames": steps(1), "audio": steps(2), "text": steps(3)}
    batch = batch_of(clip, config=replace(CONFIG, modalities="text, frames"))
    assert list(batch.features) == list(batch.masks) == ["text", "frames"]
    with pytest.raises(DataError, match="names motion, but there are only features of frames, audio, text"):
        batch_of(clip, config=replace(CONFIG, modalities="motion"))


def test_token_ids_come_where_the_network_looks_them_up() -> None:
    clips: list[ClipFeatures] = [{"text": steps(0.25, 0.5, 0.75)}, {"text": steps()}, {"text": steps(1)}]
    batch = batch_of(*clips, config=replace(CONFIG, text_embedding="both"))
    assert batch.token_ids is not None
    assert batch.token_ids.dtype == torch.int64
    assert batch.token_ids.tolist() == [[100, 200], [0, 0], [400, 0]]
    assert batch_of(*clips).token_ids is None


@given(num_clips=st.integers(1, 60), batch_size=st.integers(1, 20), num_processes=st.integers(1, 4))
def test_batches_of_training_are_even_and_shared_out_without_loss(
    num_clips: int, batch_size: int, num_processes: int
) -> None:
    source = ListSource([{"frames": steps(i)} for i in range(num_clips)], {"frames": 1})
    sizes = [
        len(part) for part in _split(np.arange(num_clips), batch_size, np.random.default_rng(num_clips))
    ]  # of whole batches
    assert sum(sizes) == num_clips
    assert len(sizes) == -(-num_clips // batch_size)
    assert max(sizes) - min(sizes) <= 1
    assume(min(sizes) >= num_processes)
    seen: list[float] = []
    for rank in range(num_processes):
        batch_slice, generator = BatchSlice(rank, num_processes), np.random.default_rng(0)
        batches = iterate_batches(
            source, np.arange(num_clips), CONFIG, batch_size, generator=generator, batch_slice=batch_slice
        )
        seen += [value for batch in batches for value in batch.features["frames"][:, 0, 0].tolist()]
    assert sorted(seen) == list(range(num_clips))


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


def test_cache_keeps_token_ids_too() -> None:
    source = random_source(3, {"text": 4}, missing=0.0)
    for max_bytes in (10**6, 0):
        cached = CachedSource(source, max_bytes)
        for _ in range(2):
            assert [cached.token_ids(i).tolist() for i in range(3)] == [source.token_ids(i).tolist() for i in range(3)]


def test_cache_reads_the_modalities_of_the_network_alone() -> None:
    source = random_source(3, {"frames": 4, "audio": 5})
    cached = CachedSource(source, 10**6, {"audio": 5})
    assert cached.modality_dims == {"audio": 5}
    assert list(cached[0]) == ["audio"]
