from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from features.errors import SourceError
from features.extractors.config import ExtractConfig
from features.extractors.visual_transformers import load
from tests.features.extractors import tiny_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from features.extractors.protocol import Float32, ImageSequence

CLIP = tiny_models.frames(3, seed=7, height=48, width=60)


def _config(backbone: str) -> ExtractConfig:
    return ExtractConfig("frames", backbone, batch_size=2, runtime="torch", device="cpu")


def _pixels(folder: Path, clip: ImageSequence) -> torch.Tensor:
    # Any: the class has no types.
    processor_class: Any = transformers.AutoImageProcessor
    processor = processor_class.from_pretrained(folder)
    pixels: torch.Tensor = processor(images=list(clip.images), return_tensors="pt")["pixel_values"]
    return pixels


def _vit_pooler(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    output: Any = transformers.ViTModel.from_pretrained(folder)(pixel_values=pixels)
    pooled: torch.Tensor = output.pooler_output
    return pooled


def _vit_class_token(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.ViTForImageClassification.from_pretrained(folder)
    hidden: torch.Tensor = model.vit(pixel_values=pixels).last_hidden_state[:, 0]
    return hidden


def _clip_projection(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.CLIPModel.from_pretrained(folder)
    projected: torch.Tensor = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    return projected


def _resnet_pooler(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.ResNetModel.from_pretrained(folder)
    pooled: torch.Tensor = model(pixel_values=pixels).last_hidden_state.mean(dim=(2, 3))
    return pooled


@pytest.mark.parametrize(
    ("save", "direct", "rule"),
    [
        (tiny_models.save_vit, _vit_pooler, "pooler output"),
        (tiny_models.save_vit_without_pooler, _vit_class_token, "class token of the last hidden state"),
        (tiny_models.save_clip, _clip_projection, "image features of the shared space"),
        (tiny_models.save_resnet, _resnet_pooler, "pooler output"),
    ],
)
def test_the_embedding_is_the_one_of_the_stated_rule(
    tmp_path: Path,
    save: Callable[[Path], str],
    direct: Callable[[Path, torch.Tensor], torch.Tensor],
    rule: str,
) -> None:
    extractor = load(_config(save(tmp_path)))
    (result,) = extractor.extract([CLIP])
    with torch.inference_mode():
        expected: Float32 = direct(tmp_path, _pixels(tmp_path, CLIP)).numpy()
    np.testing.assert_allclose(result.features, expected, rtol=1e-4, atol=1e-5)
    assert extractor.provenance["preprocessing"].endswith(rule)
    assert extractor.dim == expected.shape[1]


def test_two_loads_of_a_checkpoint_without_pooler_agree(tmp_path: Path) -> None:
    backbone = tiny_models.save_vit_without_pooler(tmp_path)
    one, other = (next(load(_config(backbone)).extract([CLIP])).features for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_provenance_tells_what_the_image_processor_does(tmp_path: Path) -> None:
    preprocessing = load(_config(tiny_models.save_clip(tmp_path))).provenance["preprocessing"]
    assert preprocessing.startswith("CLIPImageProcessor")
    assert '"crop_size": {"height": 32, "width": 32}' in preprocessing


def test_loading_leaves_the_terminal_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(_config(tiny_models.save_vit_without_pooler(tmp_path)))
    capfd.readouterr()
    load(_config(f"transformers:{tmp_path}"))
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_image_processor_is_named(tmp_path: Path) -> None:
    backbone = tiny_models.save_vit(tmp_path)
    for name in ("preprocessor_config.json", "processor_config.json"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(SourceError, match=r"cannot load the image processor of '.*': give|cannot load the image"):
        load(_config(backbone))


def test_a_text_model_is_no_vision_model(tmp_path: Path) -> None:
    backbone = tiny_models.save_bert(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(SourceError, match="BertModel does not run on pictures alone"):
        load(_config(backbone))
