"""Small video networks under torchvision's own roof, so that its names, weights and transforms do all the work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models._api import Weights, WeightsEnum, register_model
from torchvision.transforms._presets import VideoClassification

from features.formats.clip_data import ImageSequence
from tests.features.backbones.tiny_models import photo

if TYPE_CHECKING:
    from pathlib import Path

NUM_CLASSES = 400
WIDTH = 12


class TinyVideo(nn.Module):
    """``(B, 3, T, h, w)`` to ``(B, 400)``; like S3D its scores are a 1 x 1 x 1 convolution, then a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(3, 8, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2)),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.Conv3d(8, WIDTH, (3, 3, 3), stride=(1, 2, 2), padding=(1, 1, 1)),
            nn.ReLU(),
        )
        # What comes first counts otherwise than what comes last.
        self.fades = nn.Parameter(torch.linspace(1.0, 0.2, 64), requires_grad=False)
        self.scores = nn.Conv3d(WIDTH, NUM_CLASSES, 1)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        features = self.body(volumes)  # (B, 12, T, h / 4, w / 4)
        fades = self.fades[: features.shape[2]].reshape(1, 1, -1, 1, 1)
        return torch.mean(self.scores((features * fades).mean(dim=(3, 4), keepdim=True)), dim=(2, 3, 4))


class TinyOfEight(nn.Module):
    """Takes 8 frames and no other number, as networks with an embedding of places do."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, 1, 8, 1, 1))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(3 * 8, NUM_CLASSES))

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head((volumes * self.places).mean(dim=(3, 4)).flatten(1))
        return scores


# Any, here and below: torchvision has no types.
def _weights(name: str, num_frames: int) -> Any:  # noqa: ANN401
    transforms = partial(
        VideoClassification, crop_size=(32, 32), resize_size=(36, 48), mean=(0.4, 0.5, 0.3), std=(0.2, 0.3, 0.25)
    )
    meta = {"categories": [str(place) for place in range(NUM_CLASSES)], "min_temporal_size": num_frames}
    return Weights(f"https://download.pytorch.org/models/{name}-00000000.pth", transforms, meta)


class TinyVideo_Weights(WeightsEnum):  # type: ignore[misc] # noqa: N801 - torchvision's way to name them
    """Weights that no server has."""

    KINETICS400_V1 = _weights("tiny_video", 1)
    DEFAULT = KINETICS400_V1


class TinyOfEight_Weights(WeightsEnum):  # type: ignore[misc] # noqa: N801 - as above
    """Weights that no server has."""

    KINETICS400_V1 = _weights("tiny_of_eight", 8)
    DEFAULT = KINETICS400_V1


def tiny_video(*, weights: TinyVideo_Weights | None = None, progress: bool = True) -> nn.Module:
    """Return the network."""
    return _with(TinyVideo(), weights, progress=progress)


def tiny_of_eight(*, weights: TinyOfEight_Weights | None = None, progress: bool = True) -> nn.Module:
    """Return the network."""
    return _with(TinyOfEight(), weights, progress=progress)


def _with(network: nn.Module, weights: Any, *, progress: bool) -> nn.Module:  # noqa: ANN401
    if weights is not None:
        network.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
    return network


for _builder in (tiny_video, tiny_of_eight):
    # torchvision knows a builder's task by its module.
    _builder.__module__ = "torchvision.models.video.tiny"
    _builder.__annotations__["weights"] = (
        TinyVideo_Weights | None if _builder is tiny_video else TinyOfEight_Weights | None
    )
    if _builder.__name__ not in torchvision.models.list_models():
        register_model()(_builder)


def save_video(home: Path, name: str = "tiny_video") -> str:
    """Save random weights where torchvision looks for downloaded ones."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    checkpoints = home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.get_model(name, weights=None)
    torch.save(network.state_dict(), checkpoints / weights.url.rsplit("/", 1)[1])
    return f"torchvision:{name}"


def film(num_frames: int, seed: int, height: int = 48, width: int = 64) -> ImageSequence:
    """Return what a camera sees that pans over a photograph, 10 frames a second."""
    rng = np.random.default_rng(seed)
    image = photo(427, 640)
    top, left = int(rng.integers(0, 427 - height)), int(rng.integers(0, 200))
    pieces = [image[top : top + height, left + 4 * step : left + 4 * step + width] for step in range(num_frames)]
    stack = np.stack(pieces) if pieces else np.zeros((0, height, width, 3), np.uint8)
    return ImageSequence(stack, np.arange(num_frames, dtype=np.float32) / np.float32(10))
