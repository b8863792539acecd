from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from features.base.errors import CheckpointError
from features.base.files import publish_bytes
from models.data.batching import iterate_batches
from models.network.network import VideoNetwork
from models.prediction.checkpoints import CheckpointInfo, load, save
from tests.models.synthetic import SMALL_NETWORK, random_source

if TYPE_CHECKING:
    from pathlib import Path

DIMS = {"text": 9, "frames": 10}
RECIPES = {"text": "minilm", "frames": "lite0 at 224"}
INFO = CheckpointInfo(SMALL_NETWORK, DIMS, RECIPES, ("a", "b"), ("x",), 0, 7, 0.5)


@pytest.fixture
def network(tmp_path: Path) -> VideoNetwork:
    network = VideoNetwork(SMALL_NETWORK, DIMS, 2, 1)
    source = random_source(8, DIMS)
    network(next(iterate_batches(source, np.arange(8), SMALL_NETWORK, 8)))  # moves the batch norms
    save(tmp_path, network.eval(), INFO)
    return network


def test_loaded_network_gives_the_same_bits(network: VideoNetwork, tmp_path: Path) -> None:
    checkpoint = load(tmp_path, expected_dims=DIMS, expected_recipes={**RECIPES, "audio": "more is fine"})
    assert checkpoint.info == INFO
    # Features of another order of modalities would be fused wrongly.
    assert list(checkpoint.info.modality_dims) == ["text", "frames"]
    batch = next(iterate_batches(random_source(5, DIMS, seed=1), np.arange(5), SMALL_NETWORK, 5))
    assert not checkpoint.network.training
    assert torch.equal(checkpoint.network(batch).embedding, network(batch).embedding)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_saving_twice_gives_the_same_bytes(network: VideoNetwork, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    save(tmp_path, network, INFO)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.usefixtures("network")
def test_other_features_are_refused_by_name(tmp_path: Path) -> None:
    told = r"frames features were made .*'lite0 at 260' instead of 'lite0 at 224'; extract"
    with pytest.raises(CheckpointError, match=told):
        load(tmp_path, expected_recipes={**RECIPES, "frames": "lite0 at 260"})
    with pytest.raises(CheckpointError, match=r"width of text features is 8,.*trained on 9"):
        load(tmp_path, expected_dims={**DIMS, "text": 8})
    with pytest.raises(CheckpointError, match=r"width of frames features is None"):
        load(tmp_path, expected_dims={"text": 9})


@pytest.mark.usefixtures("network")
def test_damage_is_refused(tmp_path: Path) -> None:
    description, weights = tmp_path / "model.json", tmp_path / "model.safetensors"
    good = description.read_text()
    description.write_text(good.replace('"format_version": 2', '"format_version": 99'))
    with pytest.raises(CheckpointError, match="format version 99"):
        load(tmp_path)
    description.write_text(good.replace('"trn_width": 16', '"trn_width": 17'))
    with pytest.raises(CheckpointError, match="does not fit"):
        load(tmp_path)
    description.write_text(good.replace('"trn_width": 16', '"trn_weight": 17'))
    with pytest.raises(CheckpointError, match=r"cannot be understood.*trn_weight"):
        load(tmp_path)
    description.write_text(good[:50])
    with pytest.raises(CheckpointError, match="no JSON"):
        load(tmp_path)
    description.write_text(good)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckpointError, match="sha256"):
        load(tmp_path)
    weights.unlink()
    with pytest.raises(CheckpointError, match="train one first"):
        load(tmp_path)


def test_description_is_for_people_too(network: VideoNetwork, tmp_path: Path) -> None:
    assert network.modality_dims == DIMS
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["selected_epoch"] == 7
    assert description["feature_recipes"] == RECIPES


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "file"
    publish_bytes(target, b"old")
    with pytest.raises(TypeError):
        publish_bytes(target, "text")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_bytes() == b"old"
