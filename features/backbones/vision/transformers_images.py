"""``transformers:ID``: any vision model of transformers, and the vision tower of CLIP, SigLIP and their like.

The embedding of a picture is, by the first rule that fits:

1. ``get_image_features``, the one that can be compared with the text tower (CLIP, SigLIP, ...);
2. ``image_embeds`` of a vision tower that was saved with its projection, which is the same;
3. ``pooler_output``, unless the checkpoint lacks the pooler's weights, which would then be random;
4. the class token of the last hidden state, where the model has one;
5. the mean of the last hidden state over the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import transformers
from torch import nn

from features.backbones.extractor.extractor import Backbone
from features.backbones.pretrained.transformers_models import Pretrained, quiet
from features.backbones.vision.image_extractor import ImageExtractor, probe_images
from features.backbones.vision.processor import ImageProcessor
from features.base.errors import SourceError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.backbones.extractor.extract_config import ExtractConfig

PLANES_NDIM = 4
EMBEDDING_NDIM = 2
RUN_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError)
Embed: TypeAlias = "Callable[[nn.Module, torch.Tensor], torch.Tensor]"


def load(config: ExtractConfig) -> ImageExtractor:
    """Return the extractor with the model's own image processor.

    Raises:
        SourceError: The model or its image processor is missing, damaged, or of no use for pictures.
    """
    pretrained = Pretrained(config.name, config.revision)
    with quiet():
        return ImageExtractor(config, _backbone(pretrained))


def _backbone(pretrained: Pretrained) -> Backbone:
    loaded = pretrained.part(transformers.AutoImageProcessor.from_pretrained, "image processor")
    processor = ImageProcessor(loaded, pretrained.name)
    network, lacking = pretrained.network(_loader(pretrained))
    images = list(probe_images()[0])
    preprocess = processor.preprocess(images)
    pooled, rule = pooled_output(network.eval(), preprocess.preprocessed(images), has_pooler=not lacking)
    return Backbone(
        network=preprocess.attach(pooled),
        prepare=preprocess.prepare,
        preprocessing=f"{processor.describe()}; {rule}",
        weights_sha256=pretrained.digest(),
        packages=("transformers", "torchvision"),
    )


# Any: what from_pretrained returns has no common type.
def _loader(pretrained: Pretrained) -> Callable[..., Any]:
    """Return how the model is loaded: a lone tower with its projection keeps it, else ``AutoModel``."""
    config = pretrained.part(transformers.AutoConfig.from_pretrained, "config")
    for name in config.architectures or ():
        if name.endswith("VisionModelWithProjection") and hasattr(transformers, name):
            loader: Callable[..., Any] = getattr(transformers, name).from_pretrained
            return loader
    return transformers.AutoModel.from_pretrained


class PooledImage(nn.Module):
    """``(B, 3, h, w)`` pictures to ``(B, D)`` embeddings, by one rule."""

    def __init__(self, model: nn.Module, embed: Embed) -> None:
        super().__init__()
        self.model = model
        self._embed = embed

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        embeddings = self._embed(self.model, images)
        # A pooled map is (B, D, 1, 1).
        return embeddings.flatten(1) if embeddings.shape[2:].numel() == 1 else embeddings


def pooled_output(model: nn.Module, images: torch.Tensor, *, has_pooler: bool) -> tuple[PooledImage, str]:
    """Return the model with the first rule that fits it, and that rule in words.

    Raises:
        SourceError: The model cannot run on pictures alone, or gives no embedding of a picture.
    """
    embed, rule = _rule(model, images, has_pooler=has_pooler)
    pooled = PooledImage(model, embed)
    found = _run(pooled, model, images)
    if not isinstance(found, torch.Tensor) or found.ndim != EMBEDDING_NDIM:
        raise SourceError(
            f"{type(model).__name__} gives no single embedding of a picture ({rule}): choose a model with one, "
            "such as a CLIP, SigLIP or DINOv2"
        )
    return pooled, rule


def _rule(model: nn.Module, images: torch.Tensor, *, has_pooler: bool) -> tuple[Embed, str]:
    if hasattr(model, "get_image_features"):
        return _image_features, "image features of the shared space"
    output = _run(lambda pixels: model(pixel_values=pixels), model, images)
    if getattr(output, "image_embeds", None) is not None:
        return _image_embeds, "image features of the shared space"
    if has_pooler and getattr(output, "pooler_output", None) is not None:
        return _pooler_output, "pooler output"
    hidden = getattr(output, "last_hidden_state", None)
    if hidden is not None and hidden.ndim == PLANES_NDIM:
        return _mean_over_planes, "mean of the last hidden state"
    if hidden is not None and getattr(getattr(model, "embeddings", None), "cls_token", None) is not None:
        return _class_token, "class token of the last hidden state"
    return _mean_over_tokens, "mean of the last hidden state"


# Any: models give outputs of many types.
def _run(call: Callable[[torch.Tensor], Any], model: nn.Module, images: torch.Tensor) -> Any:  # noqa: ANN401
    try:
        with torch.inference_mode():
            return call(images)
    except RUN_ERRORS as error:
        reason = one_line(error)[:200]
        raise SourceError(
            f"{type(model).__name__} does not run on pictures alone ({reason}): choose a vision model"
        ) from error


# Any, here and below: transformers' models have no common type.
def _image_features(model: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    features = model.get_image_features(pixel_values=images)
    # Up to transformers 4 a tensor, from 5 on an output whose pooler_output is that tensor.
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return tensor


def _image_embeds(model: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    tensor: torch.Tensor = model(pixel_values=images).image_embeds
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
