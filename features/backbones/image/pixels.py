"""Pictures as bytes at the door of a network: cut and scaled outside, made into numbers inside.

A batch of bytes is a quarter of a batch of floats, and the first layers of the network, which subtract the
mean and divide, are fused with what follows by the runtime and run where the network runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.formats.clip_data import UInt8

NUM_COLOURS = 3
# Of a longer picture only the middle is looked at: scaled whole, a ribbon would need gigabytes.
MAX_ASPECT = 16


class FromPixels(nn.Module):
    """A network behind ``(x - mean) / std``.

    Args:
        network: ``(B, 3, h, w)`` float32 in.
        mean: One number a colour, or one for all, on the scale of 0 to 255.
        std: The same.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        for name, values in (("mean", mean), ("std", std)):
            per_colour = torch.tensor(list(values)).expand(NUM_COLOURS)
            self.register_buffer(name, per_colour.reshape(1, NUM_COLOURS, 1, 1).clone(), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the network's output for ``(B, h, w, 3)`` pictures, 0 to 255."""
        planes = pixels.permute(0, 3, 1, 2).to(self.mean.dtype)  # (B, 3, h, w), channels last in memory
        output: torch.Tensor = self.network((planes - self.mean) / self.std)
        return output


@dataclass(frozen=True)
class CentreCrop:
    """Scales the short side, then cuts the centre out.

    Attributes:
        short_side: Pixels of the short side after scaling.
        size: Height and width of the centre, at most ``short_side``.
        interpolation: How to scale, with the smoothing that making smaller needs.
    """

    short_side: int
    size: int
    interpolation: InterpolationMode = InterpolationMode.BICUBIC

    def __call__(self, image: UInt8) -> UInt8:
        """Return ``(size, size, 3)`` of ``(H, W, 3)``, which must be writable."""
        # Channels last in memory, where scaling bytes is several times faster than with channels first.
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        scaled = functional.resize(planes, [self.short_side], interpolation=self.interpolation, antialias=True)
        pixels: UInt8 = scaled[0].permute(1, 2, 0).numpy()
        # Half a pixel is rounded as torchvision's centre crop rounds it.
        top, left = (round((length - self.size) / 2) for length in pixels.shape[:2])
        return np.ascontiguousarray(pixels[top : top + self.size, left : left + self.size])


def within_aspect(image: UInt8) -> UInt8:
    """Return the middle of a picture whose one side is more than 16 times the other, else the picture."""
    height, width = image.shape[:2]
    longest = MAX_ASPECT * min(height, width)
    if max(height, width) <= longest:
        return image
    top, left = (max(0, length - longest) // 2 for length in (height, width))
    return image[top : top + longest, left : left + longest]
