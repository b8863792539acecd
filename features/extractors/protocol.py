"""What goes into an extractor and what comes out of it, whatever the backbone.

An extractor takes the clips of one modality as they come and gives one ``ClipFeatures`` for each of them, in
the same order. A clip that lacks the modality is ``None`` and gives a ``ClipFeatures`` without steps.

========  =========================  ==========================================================
modality  one clip is                one step of its features is
========  =========================  ==========================================================
frames    ``Iterable[Picture]``      one picture
cover     ``Iterable[Picture]``      the one picture
motion    ``Iterable[Picture]``      a window of successive pictures
audio     ``Sound``                  a window of sound
text      ``Mapping[str, str]``      one token of one field (title, asr, ocr: field -> its text)
========  =========================  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from features.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]

InputT_contra = TypeVar("InputT_contra", contravariant=True)

# The keys that every extractor's provenance has; all values are text of one line.
PROVENANCE_KEYS = ("backbone", "weights_sha256", "preprocessing", "runtime", "versions")


class Picture(Protocol):
    """One picture of a clip, decoded when somebody asks for its pixels; any thread may ask."""

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
    """A picture that is decoded already.

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
    """What an extractor found in one clip; T = 0 when there was nothing to look at.

    Attributes:
        features: ``(T, D)``, values as the network gave them, so possibly not finite.
        time_seconds: ``(T,)`` time of each step in the clip; zeros for text.
        token_id: ``(T,)`` the token of each step for text, else ``None``.
        field_id: ``(T,)`` the text field of each step, a position in ``TEXT_FIELDS``; else ``None``.
        problem: Why the clip cannot be used, as found while it was read; it then has no steps.
    """

    features: Float32
    time_seconds: Float32
    token_id: Int32 | None = None
    field_id: UInt8 | None = None
    problem: str = ""


class Extractor(Protocol[InputT_contra]):
    """A frozen backbone, ready to run: pictures, sound or text in, ``ClipFeatures`` out."""

    @property
    def dim(self) -> int:
        """Width D of the features."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the features come about, one line for each of ``PROVENANCE_KEYS``."""
        ...

    def extract(self, clips: Iterable[InputT_contra | None]) -> Iterator[ClipFeatures]:
        """Yield the features of each clip, one for each and in the same order.

        ``None`` and an empty clip give T = 0; a ``ShardError`` while a clip is read becomes its ``problem``.
        ``clips`` is consumed in another thread as batches fill, never as a whole, and a clip is done with
        when the next one is asked for; the same clips and settings give the same bytes.
        """
        ...
