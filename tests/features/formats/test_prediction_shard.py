from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from features.base.errors import ShardError
from features.formats.hdf5_shard import ShardWriter
from features.formats.prediction_shard import (
    PredictionShard,
    join_predictions,
    read_predictions,
    read_uncalibrated,
    write_predictions,
    write_uncalibrated,
)

if TYPE_CHECKING:
    from pathlib import Path


def predictions(number: int, seed: int = 0) -> PredictionShard:
    source = np.random.default_rng(seed)
    return PredictionShard(
        clip_ids=tuple(f"猫{seed}-{index}" for index in range(number)),
        categories=("a", "旅拍"),
        tags=("x", "y", "z"),
        category_scores=source.random((number, 2), np.float32),
        tag_scores=source.random((number, 3), np.float32),
        embedding=source.random((number, 5), np.float32),
    )


def assert_equal(one: PredictionShard, other: PredictionShard) -> None:
    assert (one.clip_ids, one.categories, one.tags) == (other.clip_ids, other.categories, other.tags)
    for name in ("category_scores", "tag_scores", "embedding"):
        found = getattr(one, name)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, getattr(other, name))


@pytest.mark.parametrize("number", [0, 1, 7])
def test_predictions_come_back(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.h5"
    write_predictions(path, predictions(number), {"checkpoint": "abc"})
    assert_equal(read_predictions(path), predictions(number))
    with h5py.File(path, "r") as file:
        assert file.attrs["checkpoint"] == "abc"
        assert file["tag_name"].asstr()[:].tolist() == ["x", "y", "z"]
        assert file["category_scores"].shape == (number, 2)
    once = path.read_bytes()
    write_predictions(path, predictions(number), {"checkpoint": "abc"})
    assert path.read_bytes() == once


def test_predictions_without_a_head_come_back(tmp_path: Path) -> None:
    shard = replace(predictions(3), tags=(), tag_scores=np.zeros((3, 0), np.float32))
    write_predictions(tmp_path / "a.h5", shard, {})
    assert_equal(read_predictions(tmp_path / "a.h5"), shard)


def test_embeddings_are_left_out_where_nobody_asks_for_them(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_predictions(path, predictions(4), {})
    with h5py.File(path, "r+") as file:
        del file["embedding"]  # not even looked at
    found = read_predictions(path, with_embedding=False)
    assert_equal(found, replace(predictions(4), embedding=np.zeros((4, 0), np.float32)))
    assert join_predictions([found, found]).embedding.shape == (8, 0)
    with pytest.raises(ShardError, match="embedding"):
        read_predictions(path)


def test_damaged_predictions_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_predictions(path, predictions(3), {})
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ShardError):
        read_predictions(path)
    with pytest.raises(ShardError):
        read_predictions(tmp_path / "missing.h5")
    with ShardWriter(tmp_path / "embeddings.h5", 4, {}, has_tokens=False):
        pass
    with pytest.raises(ShardError, match="category_name"):
        read_predictions(tmp_path / "embeddings.h5")


def test_predictions_are_joined_in_order() -> None:
    joined = join_predictions([predictions(2, 0), predictions(0, 1), predictions(3, 2)])
    assert joined.clip_ids == ("猫0-0", "猫0-1", "猫2-0", "猫2-1", "猫2-2")
    np.testing.assert_array_equal(joined.tag_scores[2:], predictions(3, 2).tag_scores)
    assert (joined.categories, joined.embedding.shape) == (("a", "旅拍"), (5, 5))


def test_predictions_of_different_models_are_not_joined() -> None:
    other_labels = replace(predictions(2), tags=("x", "z", "y"))
    other_width = replace(predictions(2), embedding=np.zeros((2, 6), np.float32))
    for other in (other_labels, other_width):
        with pytest.raises(ShardError, match="run Predict again"):
            join_predictions([predictions(2), other])


def test_scores_before_calibration_come_back_in_the_order_of_the_shards(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((5, 3), np.float32)
    files = {tmp_path / "b.npz": "key b", tmp_path / "a.npz": "key a"}
    for (path, key), part in zip(files.items(), (scores[:2], scores[2:]), strict=True):
        write_uncalibrated(path, part, key)
    found = read_uncalibrated(files)
    assert found is not None
    np.testing.assert_array_equal(found, scores)
    content = (tmp_path / "a.npz").read_bytes()
    write_uncalibrated(tmp_path / "a.npz", scores[2:], "key a")
    assert (tmp_path / "a.npz").read_bytes() == content


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "empty", "another key"])
def test_scores_before_calibration_that_are_not_those_of_the_shard_are_none(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    write_uncalibrated(path, np.ones((50, 3), np.float32), "key")
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        content[300] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    assert read_uncalibrated({path: "other" if damage == "another key" else "key"}) is None
