"""``bundled:efficientnet_lite0`` to ``lite2``: ImageNet weights that come inside packages, run by timm's networks.

The weights come from TensorFlow, so the network must pad as TensorFlow does: timm's ``tf_efficientnet_lite0``
has the same tensors in the same order under other names, and its logits are equal; ``efficientnet_lite0``
pads otherwise. Source: M. Tan and Q. Le, EfficientNet, ICML 2019, in the Lite variants (no
squeeze-and-excitation, ReLU6).
"""

from __future__ import annotations

import pickle
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from features.backbones.extractor.extractor import Backbone
from features.backbones.pretrained.model_files import BUNDLED_IMAGES
from features.backbones.vision.image_extractor import ImageExtractor
from features.backbones.vision.preprocess import CentreCrop, Normalisation, Preprocess
from features.base.errors import SourceError, ToolError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from features.backbones.extractor.extract_config import ExtractConfig

# Height and width of the picture that each network was trained for.
SIZES = MappingProxyType({"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260})
# The short side is that much longer than the centre that is cut out of it: TensorFlow's CROP_PADDING.
CROP_PADDING = 32
MEAN, STD = 127.0, 128.0


def load(config: ExtractConfig) -> ImageExtractor:
    """Return the extractor with verified weights.

    Raises:
        ToolError: The package with the weights, or timm, is not installed.
        SourceError: The weights are damaged.
    """
    model = BUNDLED_IMAGES[config.name]
    crop = centre_crop(config.name)
    preprocess = Preprocess(lambda images: [crop(image) for image in images], Normalisation((MEAN,), (STD,)))
    network = efficientnet_lite(config.name, model.verified_folder() / model.weights_name)
    return ImageExtractor(
        config,
        Backbone(
            network=preprocess.attach(network),
            prepare=preprocess.prepare,
            preprocessing=(
                f"RGB, short side {crop.short_side} (bicubic), centre crop {crop.size} x {crop.size}, "
                f"(x - {MEAN:.0f}) / {STD:.0f}; global average of the last feature map"
            ),
            weights_sha256=model.weights_sha256,
            packages=("timm", "torchvision", model.package),
        ),
    )


def centre_crop(name: str) -> CentreCrop:
    """Return the cut of the network: short side 256 and centre 224 x 224 for ``efficientnet_lite0``."""
    return CentreCrop(SIZES[name] + CROP_PADDING, SIZES[name])


def efficientnet_lite(name: str, weights: Path) -> nn.Module:
    """Return the network, normalised ``(B, 3, h, w)`` to ``(B, 1280)``.

    Raises:
        ToolError: timm is not installed.
        SourceError: The file cannot be read or has other tensors.
    """
    try:
        import timm  # noqa: PLC0415 - optional package
    except ImportError as error:
        raise ToolError("package timm is not installed: pip install 'short-video-pipeline[bundled]'") from error
    network = timm.create_model(f"tf_{name}", pretrained=False, num_classes=1000)
    try:
        tensors = torch.load(weights, map_location="cpu", weights_only=True)
        names = network.state_dict()
        network.load_state_dict(dict(zip(names, tensors.values(), strict=True)))
    except (OSError, RuntimeError, ValueError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        reason = one_line(error)[:200]
        raise SourceError(
            f"{weights} does not contain the weights of {name} ({reason}): reinstall its package"
        ) from error
    # Any: the type of a module lists no methods of its own.
    headless: Any = network
    headless.reset_classifier(0)
    return network
