"""Small networks with random weights, saved the way their libraries save them, and clips to feed them."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision
import transformers
from sklearn.datasets import load_sample_image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn

from features.backbones.extractor.extractor import load_extractor
from features.formats.clip_data import ImageSequence, UInt8, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.backbones.extractor.extractor import Extractor

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *["a", "the", "dog", "cat", "runs", "sleeps", "on", "beach", "city", "night", "海", "边"],
]


@functools.cache
def load_once(config: ExtractConfig) -> Extractor[Any]:
    """Return the extractor of a configuration, loaded once per process: loading is the slow part."""
    return load_extractor(config)


def save_bert(folder: Path) -> str:
    """Save an encoder of 2 layers, 32 wide, at most 64 tokens, with a tokenizer of whole words."""
    with _seeded():
        config = transformers.BertConfig(
            vocab_size=len(WORDS),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
        )
        transformers.BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # Any: the class has no types.
    tokenizer_class: Any = transformers.PreTrainedTokenizerFast
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    tokenizer_class(tokenizer_object=tokenizer, model_max_length=64, **special).save_pretrained(folder)
    return f"transformers:{folder}"


def vit_config() -> transformers.ViTConfig:
    """Return the sizes of a vision transformer for 32 x 32 pictures, 24 wide."""
    return transformers.ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )


def save_vit(folder: Path) -> str:
    """Save a vision transformer with a pooler."""
    with _seeded():
        transformers.ViTModel(vit_config()).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return f"transformers:{folder}"


def save_vit_without_pooler(folder: Path) -> str:
    """Save a vision transformer as a classifier, which has no pooler."""
    with _seeded():
        transformers.ViTForImageClassification(vit_config()).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return f"transformers:{folder}"


def save_clip(folder: Path) -> str:
    """Save a CLIP whose towers are 24 wide and whose shared space is 16 wide."""
    tower: dict[str, Any] = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    with _seeded():
        config = transformers.CLIPConfig(
            text_config=tower | {"vocab_size": 20, "max_position_embeddings": 16},
            vision_config=tower | {"image_size": 32, "patch_size": 8},
            projection_dim=16,
        )
        transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder
    )
    return f"transformers:{folder}"


def save_resnet(folder: Path) -> str:
    """Save a ResNet of transformers, whose pooled output is ``(B, 20, 1, 1)``."""
    with _seeded():
        config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[12, 20], depths=[1, 1], layer_type="basic")
        transformers.ResNetModel(config).save_pretrained(folder)
    transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0).save_pretrained(folder)
    return f"transformers:{folder}"


def save_torchvision(home: Path, name: str) -> str:
    """Save random weights of a torchvision network where its loader looks for the downloaded ones.

    One pass over noise sets the statistics of the normalisations; without it all pictures come out alike.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    checkpoints = home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    with _seeded():
        network = torchvision.models.get_model(name, weights=None)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        with torch.inference_mode():
            network.train()(torch.randn(4, 3, 96, 96))
    torch.save(network.state_dict(), checkpoints / weights.url.rsplit("/", 1)[1])
    return f"torchvision:{name}"


def photo(height: int, width: int) -> UInt8:
    """Return the top left of a photograph of a palace, ``(height, width, 3)``, at most 427 x 640."""
    image: UInt8 = load_sample_image("china.jpg")[:height, :width].copy()
    return image


def frames(num_frames: int, seed: int, height: int = 64, width: int = 80) -> ImageSequence:
    """Return pieces of a photograph with times 0, 1, 2, ... seconds."""
    rng = np.random.default_rng(seed)
    image = photo(427, 640)
    corners = [(int(rng.integers(0, 428 - height)), int(rng.integers(0, 641 - width))) for _ in range(num_frames)]
    pieces = [image[top : top + height, left : left + width] for top, left in corners]
    stack = np.stack(pieces) if pieces else np.zeros((0, height, width, 3), np.uint8)
    return ImageSequence(stack, np.arange(num_frames, dtype=np.float32))


def sound(num_samples: int, seed: int) -> Waveform:
    """Return noise at 16 kHz."""
    rng = np.random.default_rng(seed)
    return Waveform(rng.uniform(-0.5, 0.5, num_samples).astype(np.float32), 16_000)


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw weights from seed 0 and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
