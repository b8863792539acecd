"""``transformers:ID``: any vision model of transformers, and the vision tower of CLIP, SigLIP and their like.

The embedding of a picture is, by the first rule that fits:

1. ``get_image_features``, the one that can be compared with the text tower (CLIP, SigLIP, ...);
2. ``pooler_output``, unless the checkpoint lacks the pooler's weights, which would then be random;
3. the class token of the last hidden state, where the model has one;
4. the mean of the last hidden state over the picture.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

from features.errors import SourceError
from features.extractors.pretrained import Pretrained, quiet
from features.extractors.visual import VisualBackbone, VisualExtractor, probe_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.extractors.config import ExtractConfig
    from features.extractors.protocol import Float32, UInt8

PIXELS = "pixel_values"
PLANES_NDIM = 4
TOKENS_NDIM = 3
# What the image processor's settings say of the picture that the network sees.
_TOLD = (
    *("do_resize", "size", "resample", "do_center_crop", "crop_size"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
)


def load(config: ExtractConfig) -> VisualExtractor:
    """Return the extractor with the model's own image processor.

    Raises:
        SourceError: The model or its image processor is missing, damaged, or of no use for pictures.
    """
    pretrained = Pretrained(config.name, config.revision)
    with quiet():
        return VisualExtractor(config, _backbone(pretrained))


def _backbone(pretrained: Pretrained) -> VisualBackbone:
    processor = pretrained.part(transformers.AutoImageProcessor.from_pretrained, "image processor")
    network, lacking = pretrained.network()
    preprocess = _preprocess_with(processor, pretrained.name)
    images = torch.from_numpy(preprocess(probe_images()[0]))
    pooled, rule = pool(network.eval(), images, has_pooler=not lacking)
    return VisualBackbone(
        network=pooled,
        preprocess=preprocess,
        preprocessing=f"{_describe(processor)}; {rule}",
        weights_sha256=pretrained.digest(),
        packages=("transformers",),
    )


class PooledImage(nn.Module):
    """``(B, 3, h, w)`` pictures to ``(B, D)`` embeddings, by one rule."""

    def __init__(self, model: nn.Module, embed: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.model = model
        self._embed = embed

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        return self._embed(self.model, images).flatten(1)


def pool(model: nn.Module, images: torch.Tensor, *, has_pooler: bool) -> tuple[PooledImage, str]:
    """Return the model with the first rule that fits it, and that rule in words.

    Raises:
        SourceError: The model cannot run on pictures alone.
    """
    if hasattr(model, "get_image_features"):
        return PooledImage(model, _image_features), "image features of the shared space"
    try:
        with torch.inference_mode():
            output = model(pixel_values=images)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise SourceError(
            f"{type(model).__name__} does not run on pictures alone ({error}): choose a vision model"
        ) from error
    if has_pooler and getattr(output, "pooler_output", None) is not None:
        return PooledImage(model, _pooler_output), "pooler output"
    hidden = output.last_hidden_state
    if hidden.ndim == PLANES_NDIM:
        return PooledImage(model, _mean_over_planes), "mean of the last hidden state"
    if hidden.ndim == TOKENS_NDIM and getattr(getattr(model, "embeddings", None), "cls_token", None) is not None:
        return PooledImage(model, _class_token), "class token of the last hidden state"
    return PooledImage(model, _mean_over_tokens), "mean of the last hidden state"


# Any, here and below: transformers' models and processors have no common type.
def _image_features(model: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    features = model.get_image_features(pixel_values=images)
    # Up to transformers 4 a tensor, from 5 on an output whose pooler_output is that tensor.
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return tensor


def _pooler_output(model: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    tensor: torch.Tensor = model(pixel_values=images).pooler_output
    return tensor


def _class_token(model: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    tensor: torch.Tensor = model(pixel_values=images).last_hidden_state[:, 0]
    return tensor


def _mean_over_tokens(model: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    tensor: torch.Tensor = model(pixel_values=images).last_hidden_state.mean(dim=1)
    return tensor


def _mean_over_planes(model: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    tensor: torch.Tensor = model(pixel_values=images).last_hidden_state.mean(dim=(2, 3))
    return tensor


def _preprocess_with(processor: Any, name: str) -> Callable[[UInt8], Float32]:  # noqa: ANN401
    def preprocess(images: UInt8) -> Float32:
        planes = processor(images=list(images), return_tensors="pt", input_data_format="channels_last").get(PIXELS)
        if not isinstance(planes, torch.Tensor) or planes.ndim != PLANES_NDIM:
            raise SourceError(
                f"image processor {type(processor).__name__} of {name!r} does not give {PIXELS} of shape "
                "(n, 3, h, w): choose a model for single pictures of one size"
            )
        result: Float32 = planes.float().numpy()
        return result

    return preprocess


def _describe(processor: Any) -> str:  # noqa: ANN401
    settings = processor.to_dict()
    told = {key: settings[key] for key in _TOLD if settings.get(key) is not None}
    return f"{type(processor).__name__} {json.dumps(told, sort_keys=True, default=str)}"
