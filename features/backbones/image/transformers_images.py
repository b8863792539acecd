"""``transformers:ID``: any vision model of transformers, and the vision tower of CLIP, SigLIP and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers

from features.backbones.image.image_extractor import VisualBackbone, VisualExtractor, probe_images
from features.backbones.image.pooled_output import pool
from features.backbones.image.processor import ImageProcessor
from features.backbones.pretrained.transformers_models import Pretrained, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.backbones.extractor.config import ExtractConfig


def load(config: ExtractConfig) -> VisualExtractor:
    """Return the extractor with the model's own image processor.

    Raises:
        SourceError: The model or its image processor is missing, damaged, or of no use for pictures.
    """
    pretrained = Pretrained(config.name, config.revision)
    with quiet():
        return VisualExtractor(config, _backbone(pretrained))


def _backbone(pretrained: Pretrained) -> VisualBackbone:
    loaded = pretrained.part(transformers.AutoImageProcessor.from_pretrained, "image processor")
    processor = ImageProcessor(loaded, pretrained.name)
    network, lacking = pretrained.network(_loader(pretrained))
    images = list(probe_images()[0])
    sight = processor.sight(images)
    pooled, rule = pool(network.eval(), sight.seen(images), has_pooler=not lacking)
    return VisualBackbone(
        network=sight.attach(pooled),
        preprocess=sight.preprocess,
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
