"""Reads the frames, sound and cover that Decode stored of a clip: bytes of this program only."""

from __future__ import annotations

import io
import itertools
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from features.base.errors import ShardError
from features.base.modalities import MODALITIES, names_of_stream
from features.formats.clip_data import Float32, ImageSequence, Sound, UInt8, Waveform
from features.formats.tar_shard import COVER, MATROSKA, SAMPLE_RATE_HZ, index_tar_shard, read_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    import av.container

    from features.formats.clip_data import UInt8
    from features.formats.tar_shard import OpenedClip

INT16_RANGE = 32768.0
PICTURE_PIXELS = 240
JPEG_QUALITY = 80


def frame_streams(about: Mapping[str, Any]) -> dict[str, int]:
    """Return modality -> position of its frames among the video streams of a stored clip, in their order.

    A stream that Decode was not asked for takes no position.

    Args:
        about: The facts of the clip, which count the frames of each stream that Decode was asked for.
    """
    asked = [
        name for name in names_of_stream("frames") if not MODALITIES[name].rate_setting or f"num_{name}_frames" in about
    ]
    return {name: position for position, name in enumerate(asked)}


def stored_pictures(matroska: IO[bytes], position: int = 0) -> Iterator[StoredPicture]:
    """Yield the stored frames in order, none without such a stream; the file is read from its start.

    Only the packets are read here. A picture is decoded on access to its pixels, from any thread, as each frame is
    coded by itself.

    Args:
        matroska: A stored clip.
        position: Which of the video streams is read, as :func:`frame_streams` counts them.

    Raises:
        ShardError: While iterating: it is no stored clip, or it is damaged.
    """
    import av  # noqa: PLC0415 - loads the codec libraries

    matroska.seek(0)
    with _opened(matroska) as container:
        streams = container.streams.video
        if len(streams) <= position:
            return
        stream = streams[position]
        context = stream.codec_context
        if context is None:
            raise ShardError("stored frames have no known codec")
        codec = _Codec(context.name, context.width, context.height, context.extradata or b"")
        try:
            for packet in container.demux(stream):
                if packet.size:
                    seconds = 0.0 if packet.pts is None else float(packet.pts * packet.time_base)
                    yield StoredPicture(codec, bytes(packet), seconds)
        except av.FFmpegError as error:
            raise ShardError(f"stored frames cannot be read ({error})") from error


def stored_sound(matroska: IO[bytes]) -> Sound | None:
    """Return the stored sound in [-1, 1] at 16 kHz, decoded as it is iterated; ``None`` without a sound stream.

    Raises:
        ShardError: Here or while iterating: it is no stored clip, or it is damaged.
    """
    blocks = _sound_blocks(matroska)
    first = next(blocks, None)
    if first is None:
        return None
    start_seconds, samples = first
    rest = (block for _, block in blocks)
    return Sound(itertools.chain([samples], rest), SAMPLE_RATE_HZ, start_seconds)


def _sound_blocks(matroska: IO[bytes]) -> Iterator[tuple[float, Float32]]:
    """Yield the time and the samples of successive pieces."""
    import av  # noqa: PLC0415 - loads the codec libraries

    matroska.seek(0)
    with _opened(matroska) as container:
        if not container.streams.audio:
            return
        try:
            for frame in container.decode(audio=0):
                samples = frame.to_ndarray().reshape(-1).astype(np.float32) / INT16_RANGE
                yield 0.0 if frame.time is None else float(frame.time), samples
        except av.FFmpegError as error:
            raise ShardError(f"stored sound cannot be read ({error})") from error


@dataclass(frozen=True)
class _Codec:
    """The parameters that a decoder needs."""

    name: str
    width: int
    height: int
    extradata: bytes


@dataclass(frozen=True)
class StoredPicture:
    """One stored frame, decoded when its pixels are asked for.

    Attributes:
        codec: How it is coded.
        data: The coded picture.
        time_seconds: Its time in the clip.
    """

    codec: _Codec
    data: bytes
    time_seconds: float

    def pixels(self) -> UInt8:
        """Return ``(H, W, 3)`` RGB, 0 to 255.

        Raises:
            ShardError: It cannot be decoded.
        """
        import av  # noqa: PLC0415 - loads the codec libraries

        try:
            pixels = _picture_decoder.pixels(self)
        except av.FFmpegError as error:
            raise ShardError(f"a stored frame cannot be decoded ({error})") from error
        return pixels


class _PictureDecoder(threading.local):
    """Per-thread decoder and colour converter: creating them costs as much as decoding a picture."""

    def __init__(self) -> None:
        self._codec: _Codec | None = None
        # Any: the package av has no types.
        self._context: Any = None
        self._reformatter: Any = None

    def pixels(self, picture: StoredPicture) -> UInt8:
        """Return ``(H, W, 3)`` RGB."""
        import av  # noqa: PLC0415 - loads the codec libraries

        # Only a decoder of JPEG keeps nothing of a picture that was damaged.
        if self._codec != picture.codec or picture.codec.name != "mjpeg":
            self._open(picture.codec)
        try:
            frames = self._context.decode(av.Packet(picture.data)) or self._context.decode(None)
        finally:
            self._context.flush_buffers()
        if not frames:
            raise ShardError("a stored frame has no picture")
        pixels: UInt8 = self._reformatter.reformat(frames[0], format="rgb24").to_ndarray()
        return pixels

    def _open(self, codec: _Codec) -> None:
        import av.video.reformatter  # noqa: PLC0415 - loads the codec libraries

        self._reformatter = av.video.reformatter.VideoReformatter()
        self._context = av.CodecContext.create(codec.name, "r")
        self._context.width, self._context.height = codec.width, codec.height
        self._context.extradata = codec.extradata or None
        self._context.thread_count = 1
        self._codec = codec


_picture_decoder = _PictureDecoder()


def read_waveform(matroska: bytes) -> Waveform | None:
    """Return the stored sound, ``(S,)`` in [-1, 1] at 16 kHz; ``None`` when there is none."""
    sound = stored_sound(io.BytesIO(matroska))
    if sound is None:
        return None
    return Waveform(np.concatenate(list(sound.blocks)), sound.sample_rate_hz, sound.start_seconds)


def read_cover(jpeg: bytes) -> ImageSequence:
    """Return a stored cover, ``(1, H, W, 3)`` at time 0."""
    return ImageSequence(StoredCover(jpeg).pixels()[None], np.zeros(1, np.float32))


@dataclass(frozen=True)
class StoredCover:
    """A stored cover, decoded when its pixels are asked for.

    Attributes:
        jpeg: The picture.
        time_seconds: 0, as a cover has no time.
    """

    jpeg: bytes
    time_seconds: float = 0.0

    def pixels(self) -> UInt8:
        """Return ``(H, W, 3)`` RGB, 0 to 255.

        Raises:
            ShardError: It cannot be decoded.
        """
        from PIL import Image  # noqa: PLC0415 - only covers need it

        try:
            with Image.open(io.BytesIO(self.jpeg)) as image:
                # A copy of our own, since Pillow's cannot be written to.
                return np.array(image.convert("RGB"), np.uint8)
        except (OSError, ValueError, SyntaxError) as error:
            # What Pillow raises at a damaged picture.
            raise ShardError(f"a stored cover cannot be decoded ({error})") from error


def _opened(matroska: IO[bytes]) -> av.container.InputContainer:
    import av  # noqa: PLC0415 - loads the codec libraries

    try:
        return av.open(matroska, mode="r", format="matroska")
    # ValueError: names in a damaged header are no UTF-8.
    except (av.FFmpegError, ValueError) as error:
        raise ShardError(f"a stored clip cannot be opened ({error})") from error


def clip_pictures(clips: Iterable[OpenedClip], clip_ids: Collection[str]) -> dict[str, bytes]:
    """Return clip id -> JPEG of its middle frame, or of its cover, for the wanted clips among ``clips``.

    A clip of which nothing could be decoded is not in the result.
    """
    pictures: dict[str, bytes] = {}
    for clip in clips:
        if clip.outcome.clip_id in clip_ids:
            pixels = _middle_frame(clip.matroska)
            pixels = _cover(clip.cover) if pixels is None else pixels
            if pixels is not None:
                pictures[clip.outcome.clip_id] = small_jpeg(pixels)
    return pictures


def read_covers(path: Path, clip_ids: Collection[str]) -> dict[str, bytes]:
    """Return clip id -> JPEG of its cover, or of its middle frame, for the wanted clips of a decoded shard.

    Only these clips are read. A clip of which nothing could be decoded is not in the result.

    Raises:
        ShardError: The file is damaged.
    """
    index = index_tar_shard(path)
    pictures: dict[str, bytes] = {}
    for clip_id in clip_ids:
        if clip_id in index:
            pixels = clip_pixels(read_parts(path, index[clip_id]), prefer_cover=True)
            if pixels is not None:
                pictures[clip_id] = small_jpeg(pixels)
    return pictures


def clip_pixels(parts: Mapping[str, bytes], *, prefer_cover: bool = False) -> UInt8 | None:
    """Return the middle frame or the cover of a clip, ``(H, W, 3)`` RGB; ``None`` where it has neither.

    Args:
        parts: Suffix -> bytes, as :func:`read_parts` returns them.
        prefer_cover: Whether a clip that has both is shown by its cover.
    """
    matroska, cover = (io.BytesIO(parts[name]) if name in parts else None for name in (MATROSKA, COVER))
    if prefer_cover and cover is not None:
        return _cover(cover)
    frame = _middle_frame(matroska)
    return _cover(cover) if frame is None else frame


def small_jpeg(pixels: UInt8) -> bytes:
    """Return ``(H, W, 3)`` RGB as a JPEG of at most 240 x 240 pixels."""
    from PIL import Image  # noqa: PLC0415 - only pages with pictures need it

    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _middle_frame(matroska: IO[bytes] | None) -> UInt8 | None:
    frames = [] if matroska is None else list(stored_pictures(matroska))
    return frames[len(frames) // 2].pixels() if frames else None


def _cover(cover: IO[bytes] | None) -> UInt8 | None:
    return None if cover is None else StoredCover(cover.read()).pixels()
