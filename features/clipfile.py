"""Reads back what Decode stored of a clip: its sampled frames, its sound, its cover. Only our own bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from features.errors import ShardError
from features.extractors.protocol import ImageSequence, Waveform

if TYPE_CHECKING:
    import av.container
    import numpy.typing as npt

SAMPLE_RATE_HZ = 16000
INT16_RANGE = 32768.0


@dataclass(frozen=True)
class StoredStreams:
    """What a stored clip holds, counted without decoding it.

    Attributes:
        num_frames: Frames.
        frames_end_seconds: Time of the last frame, 0 without frames.
        audio_seconds: Length of the sound.
        audio_end_seconds: Time at which the sound ends, 0 without sound.
    """

    num_frames: int
    frames_end_seconds: float
    audio_seconds: float
    audio_end_seconds: float


def measure(matroska: IO[bytes]) -> StoredStreams:
    """Return how many frames and how much sound a stored clip holds; the file is read from its start.

    Raises:
        ShardError: It is no stored clip, or it is damaged.
    """
    import av  # noqa: PLC0415 - loads the codec libraries

    num_frames = 0
    frames_end = audio_end = 0.0
    audio_start: float | None = None
    matroska.seek(0)
    with _opened(matroska) as container:
        try:
            for packet in container.demux():
                if packet.size == 0 or packet.pts is None:
                    continue
                seconds = float(packet.pts * packet.time_base)
                if packet.stream.type == "video":
                    num_frames += 1
                    frames_end = seconds
                    continue
                audio_start = seconds if audio_start is None else audio_start
                audio_end = seconds + float((packet.duration or 0) * packet.time_base)
        except av.FFmpegError as error:
            raise ShardError(f"stored streams cannot be read ({error})") from error
    return StoredStreams(num_frames, frames_end, max(0.0, audio_end - (audio_start or 0.0)), audio_end)


def read_frames(matroska: bytes) -> ImageSequence | None:
    """Return the stored frames, ``(T, H, W, 3)``, with their times; ``None`` without a video stream."""
    import av  # noqa: PLC0415 - loads the codec libraries

    with _opened(io.BytesIO(matroska)) as container:
        if not container.streams.video:
            return None
        images: list[npt.NDArray[np.uint8]] = []
        seconds: list[float] = []
        try:
            for frame in container.decode(video=0):
                images.append(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))
                seconds.append(0.0 if frame.time is None else float(frame.time))
        except av.FFmpegError as error:
            raise ShardError(f"stored frames cannot be read ({error}): delete the shard and run again") from error
    if not images:
        return None
    return ImageSequence(np.stack(images), np.asarray(seconds, np.float32))


def read_waveform(matroska: bytes) -> Waveform | None:
    """Return the stored sound, ``(S,)`` in [-1, 1] at 16 kHz; ``None`` without a sound stream."""
    import av  # noqa: PLC0415 - loads the codec libraries

    with _opened(io.BytesIO(matroska)) as container:
        if not container.streams.audio:
            return None
        parts: list[npt.NDArray[np.float32]] = []
        start_seconds = 0.0
        try:
            for frame in container.decode(audio=0):
                if not parts and frame.time is not None:
                    start_seconds = float(frame.time)
                parts.append(frame.to_ndarray().reshape(-1).astype(np.float32) / INT16_RANGE)
        except av.FFmpegError as error:
            raise ShardError(f"stored sound cannot be read ({error}): delete the shard and run again") from error
    if not parts:
        return None
    return Waveform(np.concatenate(parts), SAMPLE_RATE_HZ, start_seconds)


def read_cover(jpeg: bytes) -> ImageSequence:
    """Return a stored cover, ``(1, H, W, 3)`` at time 0."""
    from PIL import Image  # noqa: PLC0415 - only covers need it

    with Image.open(io.BytesIO(jpeg)) as image:
        pixels = np.asarray(image.convert("RGB"), np.uint8)
    return ImageSequence(pixels[None], np.zeros(1, np.float32))


def _opened(matroska: IO[bytes]) -> av.container.InputContainer:
    import av  # noqa: PLC0415 - loads the codec libraries

    try:
        return av.open(matroska, mode="r", format="matroska")
    except av.FFmpegError as error:
        raise ShardError(f"a stored clip cannot be opened ({error}): delete the shard and run again") from error
