from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms._presets import ImageClassification

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.pretrained.model_files import sha256_of_file
from features.backbones.runtime.runner import worst_cosine
from features.backbones.vision.torchvision_images import cut_before_last_layer, load, preprocess_of
from features.base.errors import SettingError, SourceError
from tests.features.backbones.tiny_models import frames, photo, save_torchvision


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
    clip = frames(3, seed=1, height=240, width=300)
    (result,) = extractor.extract([clip.pictures()])

    weights = torchvision.models.get_model_weights("shufflenet_v2_x0_5").DEFAULT
    network: Any = torchvision.models.get_model("shufflenet_v2_x0_5", weights=None).eval()
    network.load_state_dict(torch.load(_checkpoint(home), weights_only=True))
    network.fc = nn.Identity()
    planes = torch.stack([weights.transforms()(Image.fromarray(image)) for image in clip.images])
    with torch.inference_mode():
        expected = network(planes).numpy()
    # Some bytes differ by one level.
    assert worst_cosine(expected, result.features) >= 0.9999
    assert extractor.dim == 1024
    assert extractor.provenance["weights_sha256"] == sha256_of_file(_checkpoint(home))
    assert "crop_size=[224]" in extractor.provenance["preprocessing"]


# Bilinear and bicubic, unlike means, and a short side that is the crop itself.
@pytest.mark.parametrize("name", ["resnet50", "convnext_tiny", "efficientnet_b2", "efficientnet_v2_l", "swin_t"])
def test_what_a_network_sees_is_the_preset_up_to_two_levels_of_255(name: str) -> None:
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    preprocess = preprocess_of(transforms)
    assert preprocess.inside is not None
    for image in (photo(427, 640), photo(300, 181), photo(256, 455)):
        expected = transforms(Image.fromarray(image))[None]
        difference = (preprocess.preprocessed([image]) - expected).abs()
        levels = difference * 255 * torch.tensor(transforms.std).reshape(3, 1, 1)
        assert levels.max() < 2.001
        assert (levels > 0.5).float().mean() < 0.01
        assert worst_cosine(expected.flatten(1).numpy(), preprocess.preprocessed([image]).flatten(1).numpy()) > 0.9999


def test_transforms_of_another_kind_are_called_as_they_are() -> None:
    def halved(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image)[:4, :4].transpose(2, 0, 1) / np.float32(2))

    image = photo(20, 30)
    preprocess = preprocess_of(halved)
    assert preprocess.inside is None
    np.testing.assert_array_equal(preprocess.preprocessed([image])[0], image[:4, :4].transpose(2, 0, 1) / 2)


def test_a_preset_that_does_something_else_is_called_as_it_is() -> None:
    class Brighter(ImageClassification):  # type: ignore[misc]  # torchvision has no types
        """Has the settings of the preset, but adds one at the end."""

        def forward(self, img: torch.Tensor) -> torch.Tensor:
            brighter: torch.Tensor = super().forward(img) + 1
            return brighter

    image = photo(60, 80)
    transforms = Brighter(crop_size=32, resize_size=36)
    preprocess = preprocess_of(transforms)
    assert preprocess.inside is None
    np.testing.assert_array_equal(preprocess.preprocessed([image]), transforms(Image.fromarray(image))[None])


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("squeezenet1_1", 512),
        ("mobilenet_v3_small", 1024),
        ("mnasnet0_5", 1280),
        ("resnet18", 512),
        ("alexnet", 4096),
        ("vgg11", 4096),
        ("densenet121", 1024),
        ("efficientnet_b0", 1280),
        ("convnext_tiny", 768),
        ("googlenet", 1024),
        ("mobilenet_v2", 1280),
        ("shufflenet_v2_x1_0", 1024),
        ("vit_b_32", 768),
        ("swin_t", 768),
        ("maxvit_t", 512),
    ],
)
def test_the_last_layer_is_found_in_networks_of_all_kinds(name: str, dim: int) -> None:
    # On this device shapes are worked out and nothing is computed. All 80 names pass; here is one a family.
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, **options).eval()
        images = torch.zeros(2, 3, 224, 224)
        cut_before_last_layer(network, images, 1000)
        with torch.inference_mode():
            assert network(images).shape == (2, dim)


def test_the_last_layer_is_found_on_the_cpu() -> None:
    network = torchvision.models.get_model("regnet_y_400mf", weights=None).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    cut_before_last_layer(network, images, 1000)
    with torch.inference_mode():
        assert network(images).shape == (2, 440)


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
    with pytest.raises(SettingError, match=r"unknown torchvision backbone 'resnet_50': did you mean .*resnet50"):
        load(_config("torchvision:resnet_50"))


def test_a_network_for_another_task_is_no_classifier(home: Path) -> None:
    with pytest.raises(SettingError, match="unknown torchvision backbone 'fasterrcnn_resnet50_fpn'"):
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


@pytest.mark.usefixtures("home")
def test_weights_can_be_named(home: Path) -> None:
    save_torchvision(home, "squeezenet1_1")
    named, default = (load(_config(f"torchvision:squeezenet1_1{tail}")) for tail in (".IMAGENET1K_V1", ""))
    clips = [frames(2, seed=1).pictures()]
    (one,), (other,) = list(named.extract(clips)), list(default.extract(clips))
    np.testing.assert_array_equal(one.features, other.features)
    assert named.provenance["backbone"] == "torchvision:squeezenet1_1.IMAGENET1K_V1"
