"""Small vision models of transformers with random weights, saved the way the library saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

if TYPE_CHECKING:
    from pathlib import Path

_TOWER: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
_TEXT: dict[str, Any] = {key: value for key, value in _TOWER.items() if key not in {"image_size", "patch_size"}}
_TEXT |= {"vocab_size": 20, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


# Any, here and below: transformers' processors have no common type.
def _save(model: Any, processor: Any, folder: Path) -> str:  # noqa: ANN401
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return f"transformers:{folder}"


def _made(model_class: Any, config: Any) -> Any:  # noqa: ANN401
    """Return a model with weights from seed 0, and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model_class(config)


def _cropping(size: int = 32) -> Any:  # noqa: ANN401
    return transformers.BitImageProcessor(
        size={"shortest_edge": size * 8 // 7}, crop_size={"height": size, "width": size}
    )


def save_siglip(folder: Path) -> str:
    """Save a SigLIP: its pooling head gives the embedding, 24 wide."""
    config = transformers.SiglipConfig(text_config=_TEXT, vision_config=_TOWER)
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    return _save(_made(transformers.SiglipModel, config), processor, folder)


def save_clip_tower(folder: Path) -> str:
    """Save the vision tower of a CLIP with its projection to 16 numbers."""
    config = transformers.CLIPVisionConfig(**_TOWER, projection_dim=16)
    return _save(_made(transformers.CLIPVisionModelWithProjection, config), _cropping(), folder)


def save_dinov2(folder: Path) -> str:
    """Save a DINOv2."""
    return _save(_made(transformers.Dinov2Model, transformers.Dinov2Config(**_TOWER)), _cropping(), folder)


def save_dinov2_with_registers(folder: Path) -> str:
    """Save a DINOv2 with four register tokens."""
    config = transformers.Dinov2WithRegistersConfig(**_TOWER)
    return _save(_made(transformers.Dinov2WithRegistersModel, config), _cropping(), folder)


def save_dinov3(folder: Path) -> str:
    """Save a DINOv3 with two register tokens."""
    config = transformers.DINOv3ViTConfig(**_TOWER, num_register_tokens=2)
    processor = transformers.DINOv3ViTImageProcessor(size={"height": 32, "width": 32})
    return _save(_made(transformers.DINOv3ViTModel, config), processor, folder)


def save_convnext(folder: Path) -> str:
    """Save a ConvNeXt, 20 wide, whose processor cuts 32 out of 36 pixels."""
    config = transformers.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 32})
    return _save(_made(transformers.ConvNextModel, config), processor, folder)


def save_convnextv2(folder: Path) -> str:
    """Save a ConvNeXt of the second version, 20 wide."""
    config = transformers.ConvNextV2Config(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 32})
    return _save(_made(transformers.ConvNextV2Model, config), processor, folder)


def save_swin(folder: Path) -> str:
    """Save a Swin transformer, 32 wide."""
    config = transformers.SwinConfig(
        image_size=32, patch_size=2, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 2, 4], window_size=4
    )
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    return _save(_made(transformers.SwinModel, config), processor, folder)


def save_flipping(folder: Path) -> str:
    """Save a MobileViT, whose processor swaps red and blue and does not normalise."""
    config = transformers.MobileViTConfig(
        image_size=32, patch_size=2, hidden_sizes=[16, 20, 24], neck_hidden_sizes=[4, 8, 8, 12, 16, 20, 24]
    )
    processor = transformers.MobileViTImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
    return _save(_made(transformers.MobileViTModel, config), processor, folder)
