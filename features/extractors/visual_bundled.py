"""``bundled:efficientnet_lite0``: ImageNet weights that come inside a package, run by timm's network.

The weights come from TensorFlow, so the network must pad as TensorFlow does: timm's ``tf_efficientnet_lite0``
has the same tensors in the same order under other names, and its logits are equal; ``efficientnet_lite0``
pads otherwise. Source: M. Tan and Q. Le, EfficientNet, ICML 2019, in the Lite variant (no
squeeze-and-excitation, ReLU6).
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from features.errors import SourceError, ToolError
from features.extractors.bundled import BUNDLED
from features.extractors.visual import VisualBackbone, VisualExtractor

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from features.extractors.config import ExtractConfig
    from features.extractors.protocol import Float32, UInt8

SHORT_SIDE = 256
CROP = 224


def load(config: ExtractConfig) -> VisualExtractor:
    """Return the extractor with verified weights.

    Raises:
        ToolError: The package with the weights, or timm, is not installed.
        SourceError: The weights are damaged.
    """
    model = BUNDLED[config.modality][config.name]
    return VisualExtractor(
        config,
        VisualBackbone(
            network=efficientnet_lite0(model.verified_folder() / model.weights_name),
            preprocess=preprocess,
            preprocessing=(
                f"RGB, short side {SHORT_SIDE} (bicubic), centre crop {CROP} x {CROP}, (x - 127) / 128; "
                "global average of the last feature map"
            ),
            weights_sha256=model.weights_sha256,
            packages=("timm", model.package),
        ),
    )


def efficientnet_lite0(weights: Path) -> nn.Module:
    """Return the network, ``(B, 3, 224, 224)`` to ``(B, 1280)``.

    Raises:
        ToolError: timm is not installed.
        SourceError: The file cannot be read or holds other tensors.
    """
    try:
        import timm  # noqa: PLC0415 - optional package
    except ImportError as error:
        raise ToolError("package timm is not installed: pip install 'short-video-pipeline[bundled]'") from error
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=1000)
    try:
        tensors = torch.load(weights, map_location="cpu", weights_only=True)
        names = network.state_dict()
        network.load_state_dict(dict(zip(names, tensors.values(), strict=True)))
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise SourceError(f"{weights} does not hold the weights of EfficientNet-Lite0: {error}") from error
    # Any: the type of a module lists no methods of its own.
    headless: Any = network
    headless.reset_classifier(0)
    return network


def preprocess(images: UInt8) -> Float32:
    """Return ``(n, 3, 224, 224)`` for ``(n, H, W, 3)`` pictures of any size."""
    cropped = _centre(images)
    planes = np.ascontiguousarray(cropped.transpose(0, 3, 1, 2), dtype=np.float32)
    planes -= 127.0
    planes /= 128.0
    return planes


def _centre(images: UInt8) -> UInt8:
    height, width = images.shape[1:3]
    if min(height, width) == SHORT_SIDE:
        top, left = (height - CROP) // 2, (width - CROP) // 2
        return images[:, top : top + CROP, left : left + CROP]
    # Only the part that the crop keeps is scaled, so a very long picture costs no more than a square one.
    scale = SHORT_SIDE / min(height, width)
    scaled_height, scaled_width = round(height * scale), round(width * scale)
    left, top = (scaled_width - CROP) // 2, (scaled_height - CROP) // 2
    x, y = width / scaled_width, height / scaled_height
    box = (left * x, top * y, (left + CROP) * x, (top + CROP) * y)
    scaled = [Image.fromarray(image).resize((CROP, CROP), Image.Resampling.BICUBIC, box=box) for image in images]
    return np.stack([np.asarray(image) for image in scaled])
