"""Settings of the Decode stage."""

from __future__ import annotations

import math
from dataclasses import dataclass

from features.base.errors import SettingError
from features.base.settings import check_fraction, setting

CODECS = ("mjpeg", "lossless")
SAMPLINGS = ("exact", "fast")
POSITIVE = (
    "frames_per_second", "max_seconds", "timeout_seconds", "max_frames", "max_motion_frames", "max_pixels",
    "memory_megabytes",
)  # fmt: skip
MIN_PROCESS_MEGABYTES = 512
# Smaller than any network's input.
MIN_SHORT_SIDE_PIXELS = 16


@dataclass(frozen=True)
class DecodeConfig:
    """How media become frames and sound.

    Attributes:
        frames_per_second: Rate of the stored frames; it has no effect with ``num_frames``.
        num_frames: Number of frames spread evenly over the clip; 0 = as many as the rate gives.
        short_side_pixels: Frames and covers are shrunk to this short side, aspect kept; never enlarged.
        max_seconds: Only the beginning of a longer clip is read.
        max_frames: At most this many frames are stored for a clip, the first ones.
        motion_frames_per_second: Rate of a second, denser stream of frames for the modality motion; 0 = none.
        motion_short_side_pixels: Short side of those frames, as ``short_side_pixels``.
        max_motion_frames: At most this many of those frames are stored for a clip, the first ones.
        codec: ``mjpeg`` (JPEG of the best quality, small) or ``lossless`` (H.264 without loss, twice as big).
        sampling: ``exact`` decodes every frame; ``fast`` skips those that no other frame refers to, where the
            nearest decoded frame stands for a skipped one, and leaves H.264's loop filter out.
        max_pixels: A picture or frame with more pixels is refused.
        timeout_seconds: Wall-clock limit for one file.
        ffmpeg: Path of the binary, at least 5.1; empty = the one in the package imageio-ffmpeg.
        workers: ffmpeg processes at a time, each with one thread; 0 = one per CPU.
        memory_megabytes: Memory for the results of a shard that wait for their turn; what does not fit
            waits in unnamed temporary files beside the shard.
        store: Whether decoded clips are kept in shards; without, every stage that looks into clips decodes the media
            itself, and nothing decoded stays on the disk.
        max_process_megabytes: Memory of one ffmpeg process; a file that needs more is refused.
        max_failed_fraction: The stage fails when a larger share of its clips failed.
    """

    frames_per_second: float = setting(2.0, modalities=("frames",))
    num_frames: int = setting(0, modalities=("frames",))
    short_side_pixels: int = setting(256, modalities=("frames", "cover"))
    max_seconds: float = setting(300.0, modalities=("frames", "motion", "audio"))
    max_frames: int = setting(600, modalities=("frames",))
    motion_frames_per_second: float = setting(0.0, modalities=("motion",))
    motion_short_side_pixels: int = setting(128, modalities=("motion",))
    max_motion_frames: int = setting(3600, modalities=("motion",))
    codec: str = setting("mjpeg", modalities=("frames", "motion"))
    sampling: str = setting("exact", modalities=("frames", "motion"))
    max_pixels: int = setting(40_000_000, modalities=("frames", "motion", "cover"))
    timeout_seconds: float = setting(120.0, identity=False)
    ffmpeg: str = setting("", identity=False)
    workers: int = setting(0, identity=False)
    memory_megabytes: int = setting(512, identity=False)
    store: bool = setting(True, identity=False)
    max_process_megabytes: int = setting(2048, identity=False)
    max_failed_fraction: float = setting(0.2, identity=False)

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise SettingError(f"unknown codec {self.codec!r}: expected one of {', '.join(CODECS)}")
        if self.sampling not in SAMPLINGS:
            raise SettingError(f"unknown sampling {self.sampling!r}: expected one of {', '.join(SAMPLINGS)}")
        self._check_frames()
        self._check_bounds()

    def _check_bounds(self) -> None:
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise SettingError(f"{name} is {getattr(self, name)}: give a number above 0")
        if self.workers < 0:
            raise SettingError(f"workers is {self.workers}: give 0 (one per CPU) or more")
        if self.max_process_megabytes < MIN_PROCESS_MEGABYTES:
            raise SettingError(
                f"max_process_megabytes is {self.max_process_megabytes}: give {MIN_PROCESS_MEGABYTES} or more, since"
                " ffmpeg itself needs that"
            )
        check_fraction("max_failed_fraction", self.max_failed_fraction)

    def _check_frames(self) -> None:
        if not 0 <= self.num_frames <= self.max_frames:
            raise SettingError(
                f"num_frames is {self.num_frames}: give 0 (by the rate) to max_frames, which is {self.max_frames}"
            )
        if not 0 <= self.motion_frames_per_second < math.inf:
            raise SettingError(
                f"motion_frames_per_second is {self.motion_frames_per_second}: give 0 (no frames for motion) or a rate"
            )
        for name in ("short_side_pixels", "motion_short_side_pixels"):
            if getattr(self, name) < MIN_SHORT_SIDE_PIXELS:
                raise SettingError(f"{name} is {getattr(self, name)}: give {MIN_SHORT_SIDE_PIXELS} or more")
