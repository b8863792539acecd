from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.vision.transformers_images import load
from features.base.errors import SourceError
from features.formats.clip_data import DecodedPicture
from tests.features.backbones import tiny_models, tiny_vision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from features.formats.clip_data import Float32, ImageSequence

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


def _image_features(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    # Any: the class has no types.
    model: Any = transformers.AutoModel.from_pretrained(folder)
    features = model.get_image_features(pixel_values=pixels)
    # Up to transformers 4 a tensor.
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return tensor


def _siglip_head(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.SiglipModel.from_pretrained(folder)
    hidden = model.vision_model(pixel_values=pixels).last_hidden_state
    head: torch.Tensor = model.vision_model.head(hidden)
    return head


def _projected_tower(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.CLIPVisionModelWithProjection.from_pretrained(folder)
    tower: Any = transformers.CLIPVisionModel.from_pretrained(folder)
    projected: torch.Tensor = model.visual_projection(tower(pixel_values=pixels).pooler_output)
    return projected


def _class_token(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.AutoModel.from_pretrained(folder)
    hidden: torch.Tensor = model(pixel_values=pixels).last_hidden_state[:, 0]
    return hidden


def _normalised_mean_of_planes(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.AutoModel.from_pretrained(folder)
    mean: torch.Tensor = model.layernorm(model(pixel_values=pixels).last_hidden_state.mean(dim=(2, 3)))
    return mean


def _mean_of_tokens(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model: Any = transformers.AutoModel.from_pretrained(folder)
    mean: torch.Tensor = model(pixel_values=pixels).last_hidden_state.mean(dim=1)
    return mean


SHARED = "image features of the shared space"


@pytest.mark.parametrize(
    ("save", "direct", "rule"),
    [
        (tiny_models.save_vit, _vit_pooler, "pooler output"),
        (tiny_models.save_vit_without_pooler, _vit_class_token, "class token of the last hidden state"),
        (tiny_models.save_clip, _clip_projection, SHARED),
        (tiny_models.save_clip, _image_features, SHARED),
        (tiny_vision.save_clip_tower, _projected_tower, SHARED),
        (tiny_vision.save_siglip, _siglip_head, SHARED),
        (tiny_vision.save_siglip, _image_features, SHARED),
        (tiny_vision.save_dinov2, _class_token, "pooler output"),
        (tiny_vision.save_dinov2_with_registers, _class_token, "pooler output"),
        (tiny_vision.save_dinov3, _class_token, "pooler output"),
        (tiny_vision.save_convnext, _normalised_mean_of_planes, "pooler output"),
        (tiny_vision.save_convnextv2, _normalised_mean_of_planes, "pooler output"),
        (tiny_vision.save_swin, _mean_of_tokens, "pooler output"),
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
    (result,) = extractor.extract([CLIP.pictures()])
    with torch.inference_mode():
        expected: Float32 = direct(tmp_path, _pixels(tmp_path, CLIP)).numpy()
    np.testing.assert_allclose(result.features, expected, rtol=1e-4, atol=1e-5)
    assert extractor.provenance["preprocessing"].endswith(rule)
    assert extractor.dim == expected.shape[1]


def test_two_loads_of_a_checkpoint_without_pooler_agree(tmp_path: Path) -> None:
    backbone = tiny_models.save_vit_without_pooler(tmp_path)
    one, other = (next(load(_config(backbone)).extract([CLIP.pictures()])).features for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_provenance_tells_what_the_image_processor_does(tmp_path: Path) -> None:
    preprocessing = load(_config(tiny_models.save_clip(tmp_path))).provenance["preprocessing"]
    assert preprocessing.startswith("CLIPImageProcessor")
    assert '"crop_size": {"height": 32, "width": 32}' in preprocessing


def test_several_threads_give_what_one_gives(tmp_path: Path) -> None:
    backbone = tiny_models.save_clip(tmp_path)
    clips = [tiny_models.frames(17, seed=seed, height=40 + 7 * seed, width=60).pictures() for seed in range(6)]
    one, four = (
        list(load(dataclasses.replace(_config(backbone), workers=workers)).extract(clips)) for workers in (1, 4)
    )
    for alone, together in zip(one, four, strict=True):
        assert alone.features.shape == (17, 16)
        assert alone.features.tobytes() == together.features.tobytes()


def test_pictures_of_the_oddest_forms_are_embedded(tmp_path: Path) -> None:
    forms = [(1, 1), (1, 4000), (4000, 1), (2, 3), (3, 3)]
    pictures = [DecodedPicture(np.full((*form, 3), 99, np.uint8), 0.0) for form in forms]
    (result,) = load(_config(tiny_models.save_clip(tmp_path))).extract([pictures])
    assert result.problem == ""
    # All of one colour, so all alike.
    np.testing.assert_allclose(result.features, np.tile(result.features[:1], (5, 1)), rtol=1e-4, atol=1e-5)


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


def test_a_text_model_without_image_processor_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot load the image processor"):
        load(_config(tiny_models.save_bert(tmp_path)))


def test_a_model_for_pictures_of_many_sizes_is_refused(tmp_path: Path) -> None:
    backbone = tiny_models.save_resnet(tmp_path)
    transformers.BitImageProcessor(size={"shortest_edge": 32}, do_center_crop=False).save_pretrained(tmp_path)
    with pytest.raises(SourceError, match="choose a model for pictures of one size"):
        load(_config(backbone))


def test_a_text_model_is_no_vision_model(tmp_path: Path) -> None:
    backbone = tiny_models.save_bert(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(SourceError, match="BertModel does not run on pictures alone"):
        load(_config(backbone))
