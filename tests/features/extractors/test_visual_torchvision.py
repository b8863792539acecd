from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from features.errors import SettingError, SourceError
from features.extractors.config import ExtractConfig
from features.extractors.digests import sha256_of_file
from features.extractors.visual_torchvision import cut_before_last_layer, load
from tests.features.extractors.tiny_models import frames, save_torchvision


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def _config(backbone: str) -> ExtractConfig:
    return ExtractConfig("frames", backbone, batch_size=2, runtime="torch", device="cpu")


def _checkpoint(home: Path) -> Path:
    (path,) = (home / "hub" / "checkpoints").iterdir()
    return path


def test_weights_and_transforms_are_the_networks_own(home: Path) -> None:
    extractor = load(_config(save_torchvision(home, "shufflenet_v2_x0_5")))
    clip = frames(2, seed=1, height=240, width=300)
    (result,) = extractor.extract([clip])

    weights = torchvision.models.get_model_weights("shufflenet_v2_x0_5").DEFAULT
    network: Any = torchvision.models.get_model("shufflenet_v2_x0_5", weights=None).eval()
    network.load_state_dict(torch.load(_checkpoint(home), weights_only=True))
    planes = weights.transforms()(torch.from_numpy(clip.images).permute(0, 3, 1, 2))
    with torch.inference_mode():
        logits = network(planes)
        from_features = network.fc(torch.from_numpy(result.features))
    np.testing.assert_allclose(from_features.numpy(), logits.numpy(), rtol=1e-3, atol=1e-4)
    assert extractor.dim == 1024
    assert extractor.provenance["weights_sha256"] == sha256_of_file(_checkpoint(home))
    assert "crop_size=[224]" in extractor.provenance["preprocessing"]


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("squeezenet1_1", 512),
        ("mobilenet_v3_small", 1024),
        ("mnasnet0_5", 1280),
        ("regnet_y_400mf", 440),
        ("resnet18", 512),
    ],
)
def test_the_last_layer_is_found_in_networks_of_all_kinds(name: str, dim: int) -> None:
    network = torchvision.models.get_model(name, weights=None).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    cut_before_last_layer(network, images, 1000)
    with torch.inference_mode():
        assert network(images).shape == (2, dim)


def test_the_cut_gives_the_input_of_the_layer_that_runs_last() -> None:
    class Network(nn.Module):
        """Its scores come from the layer that is named first."""

        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Linear(3, 5)
            self.unused = nn.Linear(3, 5)
            self.auxiliary = nn.Linear(3, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            means = images.mean(dim=(2, 3))
            self.auxiliary(means)
            scores: torch.Tensor = self.scores(means)
            return scores

    network = Network()
    images = torch.ones(2, 3, 4, 4)
    cut_before_last_layer(network, images, 5)
    np.testing.assert_array_equal(network(images).numpy(), np.ones((2, 3)))


def test_a_network_without_scores_is_refused() -> None:
    with pytest.raises(SourceError, match="Conv2d has no last layer with 1000 outputs"):
        cut_before_last_layer(nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 4, 4), 1000)


def test_an_unknown_name_is_answered_with_like_ones(home: Path) -> None:
    with pytest.raises(SettingError, match=r"no classification network 'resnet_50': expected .*resnet50"):
        load(_config("torchvision:resnet_50"))


def test_a_network_for_another_task_is_no_classifier(home: Path) -> None:
    with pytest.raises(SettingError, match="no classification network 'fasterrcnn_resnet50_fpn'"):
        load(_config("torchvision:fasterrcnn_resnet50_fpn"))


def test_weights_that_cannot_be_downloaded_can_be_placed_by_hand(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(SourceError) as caught:
        load(_config("torchvision:squeezenet1_1"))
    message = str(caught.value)
    assert "cannot be downloaded (<urlopen error no network>)" in message
    assert f"by hand as {home}/hub/checkpoints/squeezenet1_1-" in message
    assert "TORCH_HOME" in message


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_damaged_weights_are_named(home: Path, content: bytes) -> None:
    backbone = save_torchvision(home, "squeezenet1_1")
    path = _checkpoint(home)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"at {path} are damaged .*: delete that file"):
        load(_config(backbone))


def test_weights_that_would_run_code_are_refused(home: Path) -> None:
    backbone = save_torchvision(home, "squeezenet1_1")
    torch.save({"weight": Path("a pickled object")}, _checkpoint(home))
    with pytest.raises(SourceError, match="are damaged"):
        load(_config(backbone))


def test_weights_of_another_network_are_named(home: Path) -> None:
    backbone = save_torchvision(home, "squeezenet1_1")
    torch.save({"weight": torch.zeros(1)}, _checkpoint(home))
    with pytest.raises(SourceError, match="do not fit the network"):
        load(_config(backbone))
