"""From a picture to the input of a network: cut and scaled outside of it, normalised inside.

Pictures travel as bytes: a batch of bytes is a quarter of a batch of floats, and the first layers of the network, which
subtract the mean and divide, are fused with what follows by the runtime and run where the network runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.formats.clip_data import UInt8

# Any: bytes where the network itself normalises, floats where it does not.
Prepare: TypeAlias = "Callable[[Sequence[UInt8]], Sequence[npt.NDArray[Any]]]"

NUM_COLOURS = 3
# Of a longer picture only the middle is used: scaled whole, a ribbon would need gigabytes.
MAX_ASPECT = 16


class FromPixels(nn.Module):
    """A network behind ``(x - mean) / std``, for pictures or for windows of pictures.

    Args:
        network: ``(B, 3, h, w)`` or ``(B, 3, T, h, w)`` float32 in.
        mean: One number a colour, or one for all, on the scale of 0 to 255.
        std: The same.
        windows: Whether it takes windows.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float], std: Sequence[float], *, windows: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        # Colours last -> colours before time and place.
        self._order = (0, 4, 1, 2, 3) if windows else (0, 3, 1, 2)
        shape = (1, NUM_COLOURS, *[1] * (len(self._order) - 2))
        for name, values in (("mean", mean), ("std", std)):
            per_colour = torch.tensor(list(values)).expand(NUM_COLOURS)
            self.register_buffer(name, per_colour.reshape(shape).clone(), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the network's output for ``(B, h, w, 3)`` pictures or ``(B, T, h, w, 3)`` windows, 0 to 255."""
        planes = pixels.permute(self._order).to(self.mean.dtype)  # (B, 3, [T,] h, w), channels last in memory
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


@dataclass(frozen=True)
class Normalisation:
    """``(x - mean) / std`` for each of the colours, or for all, on the scale of 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Preprocess:
    """How pictures get from bytes to the input of a network.

    Attributes:
        prepare: ``(H, W, 3)`` pictures in; ``(h, w, 3)`` bytes out where the network normalises them,
            else ``(3, h, w)`` floats, ready for the network.
        inside: What is left to the network.
    """

    prepare: Prepare
    inside: Normalisation | None = None

    def attach(self, network: nn.Module) -> nn.Module:
        """Return ``network``, which takes ``(B, 3, h, w)``, behind what is left to it."""
        return network if self.inside is None else FromPixels(network, self.inside.mean, self.inside.std)

    def preprocessed(self, images: Sequence[UInt8]) -> torch.Tensor:
        """Return ``(B, 3, h, w)``, the input of the network behind it."""
        with torch.inference_mode():
            arrays = torch.from_numpy(np.stack(self.prepare(images)))
            preprocessed: torch.Tensor = self.attach(nn.Identity())(arrays)
        return preprocessed

    def matches(self, expected: torch.Tensor, images: Sequence[UInt8], *, within: float) -> bool:
        """Return whether ``images`` become ``expected``, up to a difference of ``within``."""
        preprocessed = self.preprocessed(images)
        return preprocessed.shape == expected.shape and bool((preprocessed - expected).abs().max() <= within)
