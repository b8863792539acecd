"""``torchvision:NAME`` of motion: any video network with its default weights, without its last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision
from torchvision.transforms import functional

from features.backbones.extractor.extractor import Backbone
from features.backbones.families import torchvision_parts
from features.backbones.pretrained.model_files import sha256_of_file
from features.backbones.vision.preprocess import FromPixels
from features.backbones.vision.torchvision_images import (
    BYTE_RANGE,
    cut_before_last_layer,
    fetch_checkpoint,
    network_with,
)
from features.backbones.vision.video_extractor import VideoExtractor, probe_windows
from features.base.errors import SettingError

if TYPE_CHECKING:
    from torch import nn

    from features.backbones.extractor.extract_config import ExtractConfig
    from features.formats.clip_data import UInt8


def load(config: ExtractConfig) -> VideoExtractor:
    """Return the extractor: the network's own transforms, and the input of its last layer as the embedding.

    That input is the mean over time and place of the last features, or the class token where there is one.

    Raises:
        SettingError: torchvision has no video network of that name, or it takes windows of another length.
        SourceError: The weights cannot be downloaded or read.
    """
    config.check_backbone_exists()
    name, weights_name = torchvision_parts(config.name)
    weights = torchvision.models.get_model_weights(name)[weights_name]
    checkpoint = fetch_checkpoint(config.name, weights.url)
    transforms = weights.transforms()
    scaled = ScaledCentre(tuple(transforms.resize_size), tuple(transforms.crop_size), transforms.interpolation)
    mean, std = ([BYTE_RANGE * value for value in values] for values in (transforms.mean, transforms.std))
    network = FromPixels(network_with(name, weights), mean, std, windows=True)
    _cut(network, weights, scaled, config)
    return VideoExtractor(
        config,
        Backbone(
            network=network,
            prepare=scaled,
            preprocessing=(
                f"windows of {config.window_frames} frames every {config.hop_frames}; "
                f"{' '.join(repr(transforms).split())}; input of the last layer"
            ),
            weights_sha256=sha256_of_file(checkpoint),
            packages=("torchvision",),
        ),
    )


@dataclass(frozen=True)
class ScaledCentre:
    """The part of torchvision's video transforms that is done with bytes, to the last bit.

    Attributes:
        size: Height and width after scaling, or the short side alone, which keeps the aspect.
        crop: Height and width of the centre that is cut out then.
        interpolation: How to scale; never smoothed, as the networks were trained.
    """

    size: tuple[int, ...]
    crop: tuple[int, int]
    interpolation: functional.InterpolationMode

    def __call__(self, image: UInt8) -> UInt8:
        """Return ``(h, w, 3)`` of ``(H, W, 3)``."""
        planes = torch.from_numpy(image).permute(2, 0, 1)
        planes = functional.resize(planes, list(self.size), interpolation=self.interpolation, antialias=False)
        planes = functional.center_crop(planes, list(self.crop))
        return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())


# Any: torchvision has no types.
def _cut(network: nn.Module, weights: Any, scaled: ScaledCentre, config: ExtractConfig) -> None:  # noqa: ANN401
    window = torch.from_numpy(probe_windows(scaled, config.window_frames, 1))
    try:
        cut_before_last_layer(network.eval(), window, len(weights.meta["categories"]))
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SettingError(
            f"[extract_{config.modality}] window_frames is {config.window_frames}, with which torchvision:{config.name}"
            f" does not run ({reason}): set it to {weights.meta.get('min_temporal_size', 16)}, which that network takes"
        ) from error
