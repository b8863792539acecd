"""What a network sees of a picture: the part that is done with bytes outside it, and the part inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from features.backbones.image.pixels import FromPixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.formats.clip_data import UInt8

# Any: bytes where the network itself normalises, floats where it does not.
Preprocess: TypeAlias = "Callable[[Sequence[UInt8]], Sequence[npt.NDArray[Any]]]"


@dataclass(frozen=True)
class Normalisation:
    """``(x - mean) / std`` for each of the colours, or for all, on the scale of 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Sight:
    """How pictures get from bytes to what a network sees.

    Attributes:
        preprocess: ``(H, W, 3)`` pictures in; ``(h, w, 3)`` bytes out where the network normalises them,
            else ``(3, h, w)`` floats, ready for the network.
        inside: What is left to the network.
    """

    preprocess: Preprocess
    inside: Normalisation | None = None

    def attach(self, network: nn.Module) -> nn.Module:
        """Return ``network``, which takes ``(B, 3, h, w)``, behind what is left to it."""
        return network if self.inside is None else FromPixels(network, self.inside.mean, self.inside.std)

    def seen(self, images: Sequence[UInt8]) -> torch.Tensor:
        """Return ``(B, 3, h, w)``, what the network behind it sees."""
        with torch.inference_mode():
            seen: torch.Tensor = self.attach(nn.Identity())(torch.from_numpy(np.stack(self.preprocess(images))))
        return seen

    def shows(self, expected: torch.Tensor, images: Sequence[UInt8], *, within: float) -> bool:
        """Return whether what is seen of ``images`` is ``expected``, up to a difference of ``within``."""
        seen = self.seen(images)
        return seen.shape == expected.shape and bool((seen - expected).abs().max() <= within)
