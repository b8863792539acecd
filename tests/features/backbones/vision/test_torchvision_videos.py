from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torchvision

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.pretrained.model_files import sha256_of_file
from features.backbones.vision.torchvision_images import cut_before_last_layer
from features.backbones.vision.torchvision_videos import load
from features.base.errors import SettingError, SourceError
from tests.features.backbones.tiny_motion import WIDTH, film, save_video

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def config(backbone: str, **settings: Any) -> ExtractConfig:  # noqa: ANN401 - of any type
    defaults: dict[str, Any] = {"window_frames": 8, "hop_frames": 4, "batch_size": 2, "runtime": "torch"}
    return ExtractConfig("motion", backbone, device="cpu", num_threads=1, **{**defaults, **settings})


def reference(home: Path, name: str, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the last layer gets to see, by torchvision's own transforms and a network that is whole."""
    network: Any = torchvision.models.get_model(name, weights=None).eval()
    (path,) = (home / "hub" / "checkpoints").glob(f"{name}-*")
    network.load_state_dict(torch.load(path, weights_only=True))
    seen: list[torch.Tensor] = []
    last = network.scores if name == "tiny_video" else network.head[-1]
    last.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    with torch.inference_mode():
        network(transforms(torch.from_numpy(images).permute(0, 3, 1, 2))[None])
    means: np.ndarray[Any, Any] = seen[0][0].reshape(seen[0].shape[1], -1).mean(dim=1).numpy()
    return means


@pytest.mark.parametrize("runtime", ["torch", "auto"])
@pytest.mark.parametrize("name", ["tiny_video", "tiny_of_eight"])
def test_features_are_those_of_plain_torch_with_the_networks_own_transforms(
    home: Path, name: str, runtime: str
) -> None:
    clip = film(14, seed=3, height=90, width=130)
    (found,) = load(config(save_video(home, name), runtime=runtime)).extract([clip.pictures()])
    assert found.time_seconds.tolist() == pytest.approx([0.35, 0.75, 0.95])
    for row, start in zip(found.features, (0, 4, 6), strict=True):
        expected = reference(home, name, clip.images[start : start + 8])
        cosine = row @ expected / np.linalg.norm(row) / np.linalg.norm(expected)
        # bf16, which the runtime takes where the processor has it.
        assert cosine >= (0.9999 if runtime == "torch" else 0.999)
        np.testing.assert_allclose(row, expected, rtol=1e-3 if runtime == "torch" else 0.05, atol=1e-2)


def test_the_order_of_the_frames_matters(home: Path) -> None:
    clip = film(8, seed=3)
    extractor = load(config(save_video(home)))
    forwards, backwards = extractor.extract([clip.pictures(), clip.pictures()[::-1]])
    assert np.abs(forwards.features - backwards.features).max() > 1e-3


def test_provenance_tells_windows_transforms_and_weights(home: Path) -> None:
    extractor = load(config(save_video(home)))
    assert extractor.dim == WIDTH
    (checkpoint,) = (home / "hub" / "checkpoints").iterdir()
    assert extractor.provenance["weights_sha256"] == sha256_of_file(checkpoint)
    preprocessing = extractor.provenance["preprocessing"]
    assert preprocessing.startswith("windows of 8 frames every 4; VideoClassification( crop_size=[32, 32]")
    assert "torchvision" in extractor.provenance["versions"]


@pytest.mark.parametrize("window_frames", [4, 16])
def test_a_window_that_the_network_does_not_take_is_answered_with_one_that_it_does(
    home: Path, window_frames: int
) -> None:
    backbone = save_video(home, "tiny_of_eight")
    with pytest.raises(
        SettingError,
        match=rf"window_frames is {window_frames}, with which torchvision:tiny_of_eight does not run .*: set it to 8, ",
    ):
        load(config(backbone, window_frames=window_frames))


@pytest.mark.parametrize("name", ["r3d18", "resnet18", "convnext_tiny"])
def test_a_name_that_is_no_video_network_is_refused(name: str) -> None:
    for check in (ExtractConfig.check_backbone_exists, load):
        with pytest.raises(SettingError, match=rf"\[extract_motion\] unknown torchvision backbone '{name}'"):
            check(config(f"torchvision:{name}"))
    config("torchvision:r3d_18").check_backbone_exists()


def test_a_network_of_videos_is_none_of_pictures() -> None:
    with pytest.raises(SettingError, match="unknown torchvision backbone 'r3d_18'"):
        ExtractConfig("frames", "torchvision:r3d_18").check_backbone_exists()


def test_weights_of_another_network_are_named(home: Path) -> None:
    backbone = save_video(home)
    (path,) = (home / "hub" / "checkpoints").iterdir()
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(SourceError, match="weights of torchvision:tiny_video do not fit the network"):
        load(config(backbone))


@pytest.mark.parametrize(
    ("name", "num_frames", "dim"), [("r3d_18", 1, 512), ("s3d", 14, 1024), ("mvit_v2_s", 16, 768), ("swin3d_t", 3, 768)]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_last_layer_of_torchvisions_networks_is_found(name: str, num_frames: int, dim: int) -> None:
    # Shapes alone: tensors on this device have no numbers.
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None).eval()
        crop = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size
        volumes = torch.zeros(2, 3, num_frames, *crop)
    cut_before_last_layer(network, volumes, 400)
    with torch.inference_mode():
        assert network(volumes).shape == (2, dim)


@pytest.mark.parametrize(("name", "num_frames"), [("s3d", 8), ("mvit_v1_b", 8), ("mvit_v2_s", 17)])
def test_torchvisions_networks_have_the_limits_that_the_error_names(name: str, num_frames: int) -> None:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    assert weights.meta["min_temporal_size"] == (14 if name == "s3d" else 16)
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None).eval()
        volumes = torch.zeros(1, 3, num_frames, *weights.transforms().crop_size)
    with pytest.raises(RuntimeError), torch.inference_mode():
        network(volumes)
