"""Pictures, sound and features of one clip, as the formats yield them and the backbones take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from features.base.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]


class Picture(Protocol):
    """One picture of a clip, decoded on access to its pixels, from any thread."""

    @property
    def time_seconds(self) -> float:
        """Its time in the clip."""
        ...

    def pixels(self) -> UInt8:
        """Return ``(H, W, 3)`` RGB, 0 to 255.

        Raises:
            ShardError: It cannot be decoded.
        """
        ...


@dataclass(frozen=True)
class DecodedPicture:
    """A picture that is already decoded.

    Attributes:
        image: ``(H, W, 3)`` RGB, 0 to 255.
        time_seconds: Its time in the clip.
    """

    image: UInt8
    time_seconds: float

    def pixels(self) -> UInt8:
        """Return the picture."""
        return self.image


@dataclass(frozen=True)
class ImageSequence:
    """Pictures of one clip, all in memory.

    Attributes:
        images: ``(T, H, W, 3)`` RGB, 0 to 255.
        time_seconds: ``(T,)`` time of each picture in the clip.
    """

    images: UInt8
    time_seconds: Float32

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:  # noqa: PLR2004
            raise SettingError(
                f"images of type {self.images.dtype} and shape {shape}: expected uint8 (T, H, W, 3), RGB"
            )
        if self.time_seconds.shape != shape[:1]:
            raise SettingError(
                f"time_seconds has shape {self.time_seconds.shape} for {shape[0]} images: expected one each"
            )

    def pictures(self) -> list[DecodedPicture]:
        """Return the pictures as an extractor takes them."""
        return [DecodedPicture(image, float(time)) for image, time in zip(self.images, self.time_seconds, strict=True)]


@dataclass(frozen=True)
class Sound:
    """The sound of one clip as it is read, piece by piece, so that its length costs no memory.

    Attributes:
        blocks: Successive pieces, each ``(S,)``, one channel, -1 to 1; it can be iterated once, and may raise
            ``ShardError``.
        sample_rate_hz: Samples a second.
        start_seconds: Time of the first sample in the clip.
    """

    blocks: Iterable[Float32]
    sample_rate_hz: int
    start_seconds: float = 0.0


@dataclass(frozen=True)
class Waveform:
    """The sound of one clip, all in memory.

    Attributes:
        samples: ``(S,)`` one channel, -1 to 1.
        sample_rate_hz: Samples a second.
        start_seconds: Time of the first sample in the clip.
    """

    samples: Float32
    sample_rate_hz: int
    start_seconds: float = 0.0

    def sound(self) -> Sound:
        """Return the sound as an extractor takes it."""
        return Sound([self.samples] if self.samples.size else [], self.sample_rate_hz, self.start_seconds)


@dataclass(frozen=True)
class ClipFeatures:
    """The features of one clip; T = 0 for a clip without the modality.

    Attributes:
        features: ``(T, D)``, values as the network gave them, so possibly not finite.
        time_seconds: ``(T,)`` time of each step in the clip; zeros for text.
        token_id: ``(T,)`` the token of each step for text, else ``None``.
        field_id: ``(T,)`` the text field of each step, a position in ``TEXT_FIELDS``; else ``None``.
        problem: Why the clip could not be read; such a clip has no steps.
    """

    features: Float32
    time_seconds: Float32
    token_id: Int32 | None = None
    field_id: UInt8 | None = None
    problem: str = ""
