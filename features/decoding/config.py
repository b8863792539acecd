"""Settings of the Decode stage."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from features.base.errors import SettingError
from features.base.modalities import MODALITIES, names_of_stream
from features.base.settings import at_least, check_fraction, check_positive, check_settings, one_of, setting

CODECS = ("mjpeg", "lossless")
UNTAGGED_MATRICES = ("auto", "bt601", "bt709")
SAMPLINGS = ("exact", "fast")
# ffmpeg itself needs this much.
MIN_PROCESS_MEGABYTES = 512
# Smaller than any network's input.
MIN_SHORT_SIDE_PIXELS = 16
_FRAMES = names_of_stream("frames")
# Modality with frames of its own rate -> the setting of the rate.
_RATES = {name: entry.rate_setting for name, entry in MODALITIES.items() if entry.rate_setting}


@dataclass(frozen=True)
class DenseFrames:
    """A stream of frames that is stored beside the sampled frames, for one modality.

    Attributes:
        modality: The modality.
        frames_per_second: Rate of its frames.
        short_side_pixels: Their short side, as ``DecodeConfig.short_side_pixels``.
        max_frames: At most this many are stored for a clip, the first ones.
    """

    modality: str
    frames_per_second: float
    short_side_pixels: int
    max_frames: int


@dataclass(frozen=True)
class DecodeConfig:
    """How media become frames and sound.

    Attributes:
        frames_per_second: Rate of the stored frames; without effect where ``num_frames`` is set.
        num_frames: Number of frames, spread evenly over the clip; 0 = by the rate.
        short_side_pixels: Frames and covers are shrunk to this short side, aspect kept; never enlarged.
        max_seconds: Only the beginning of a longer clip is read.
        max_frames: At most this many frames are stored for a clip, the first ones.
        motion_frames_per_second: Rate of a second, denser stream of frames for the modality motion; 0 = none.
        motion_short_side_pixels: Short side of those frames, as ``short_side_pixels``.
        max_motion_frames: At most this many of those frames are stored for a clip, the first ones.
        codec: ``mjpeg`` (JPEG of the best quality, small) or ``lossless`` (H.264 without loss, twice as big).
        untagged_matrix: Matrix of a picture whose stream states none: ``bt601``, ``bt709``, or ``auto``: BT.709 from
            1280 pixels of width or 577 of height on, as players do, else BT.601.
        sampling: ``exact`` decodes every frame; ``fast`` skips frames that no other frame refers to, uses the nearest
            decoded frame in place of a skipped one, and omits H.264's loop filter.
        max_pixels: A picture or frame with more pixels is refused.
        timeout_seconds: Wall-clock limit for one file.
        ffmpeg: Path of the binary, at least 5.1; empty = the one in the package imageio-ffmpeg.
        workers: ffmpeg processes at a time, each with one thread; 0 = one per CPU.
        memory_megabytes: Memory for the results of a shard that wait to be written; the rest is buffered in unnamed
            temporary files beside the shard.
        store: Whether decoded clips are stored in shards; without it every stage that reads clips decodes the media
            itself, and nothing decoded stays on the disk.
        max_process_megabytes: Memory of one ffmpeg process; a file that needs more is refused.
        max_failed_fraction: The stage fails when a larger fraction of its clips failed.
    """

    frames_per_second: float = setting(2.0, modalities=("frames",), check=check_positive)
    num_frames: int = setting(0, modalities=("frames",), check=at_least(0))
    short_side_pixels: int = setting(256, modalities=("frames", "cover"), check=at_least(MIN_SHORT_SIDE_PIXELS))
    max_seconds: float = setting(300.0, modalities=names_of_stream("frames", "sound"), check=check_positive)
    max_frames: int = setting(600, modalities=("frames",), check=check_positive)
    motion_frames_per_second: float = setting(0.0, modalities=("motion",))
    motion_short_side_pixels: int = setting(128, modalities=("motion",), check=at_least(MIN_SHORT_SIDE_PIXELS))
    max_motion_frames: int = setting(3600, modalities=("motion",), check=check_positive)
    codec: str = setting("mjpeg", modalities=_FRAMES, check=one_of(CODECS))
    untagged_matrix: str = setting("auto", modalities=_FRAMES, check=one_of(UNTAGGED_MATRICES))
    sampling: str = setting("exact", modalities=_FRAMES, check=one_of(SAMPLINGS))
    max_pixels: int = setting(40_000_000, modalities=names_of_stream("frames", "cover"), check=check_positive)
    timeout_seconds: float = setting(120.0, identity=False, check=check_positive)
    ffmpeg: str = setting("", identity=False)
    workers: int = setting(0, identity=False, check=at_least(0))
    memory_megabytes: int = setting(512, identity=False, check=check_positive)
    store: bool = setting(True, identity=False)
    max_process_megabytes: int = setting(2048, identity=False, check=at_least(MIN_PROCESS_MEGABYTES))
    max_failed_fraction: float = setting(0.2, identity=False, check=check_fraction)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.num_frames > self.max_frames:
            raise SettingError(
                f"num_frames is {self.num_frames}: give 0 (by the rate) to max_frames, which is {self.max_frames}"
            )
        for name, setting_name in _RATES.items():
            rate = getattr(self, setting_name)
            if not 0 <= rate < math.inf:
                raise SettingError(f"{setting_name} is {rate}: give 0 (no frames for {name}) or a rate")

    def dense_frames(self) -> tuple[DenseFrames, ...]:
        """Return the streams of frames that are stored after the sampled frames, in their order.

        Those of a modality NAME follow its ``rate_setting``, ``NAME_short_side_pixels`` and ``max_NAME_frames``.
        """
        return tuple(
            DenseFrames(
                name,
                getattr(self, rate),
                getattr(self, f"{name}_short_side_pixels"),
                getattr(self, f"max_{name}_frames"),
            )
            for name, rate in _RATES.items()
            if getattr(self, rate) > 0
        )

    def without_dense_frames(self) -> DecodeConfig:
        """Return the settings without any of those streams."""
        none: dict[str, Any] = dict.fromkeys(_RATES.values(), 0.0)
        return replace(self, **none)
