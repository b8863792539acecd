"""ffmpeg: where it is, which one it is, and the two commands that the pipeline gives it."""

from __future__ import annotations

import functools
import os
import re
import shutil
from dataclasses import dataclass

from features.errors import ClipError, SettingError, ToolError
from features.process import run

CODECS = ("mjpeg", "lossless")
SAMPLINGS = ("exact", "fast")
# Demuxers that read one self-contained file. A playlist (HLS, DASH, concat) named .mp4 would make ffmpeg
# open other files, which the protocol whitelist alone does not stop.
VIDEO_FORMATS = "mov,matroska,webm,avi,flv,mpegts,mpeg"
# Kind of picture, as its first bytes tell -> demuxer. The one that ffmpeg would choose by the file's name
# takes the name for a pattern of many.
PICTURE_FORMATS = {"jpeg": "jpeg_pipe", "png": "png_pipe", "webp": "webp_pipe"}
OLDEST_VERSION = (5, 1)
VERSION = re.compile(r"ffmpeg version (?P<name>n?(?P<major>\d+)\.(?P<minor>\d+)\S*)")
# Rounding of the last frame: a clip that gives this share of the expected frames is whole.
COMPLETE_FRACTION = 0.9


@dataclass(frozen=True)
class DecodeConfig:
    """How media become frames and sound.

    Attributes:
        frames_per_second: Rate of the stored frames.
        short_side_pixels: Frames and covers are shrunk to this short side, aspect kept; never enlarged.
        max_seconds: Only the beginning of a longer clip is read.
        max_frames: At most this many frames are stored for a clip.
        codec: ``mjpeg`` (JPEG of the best quality, small) or ``lossless`` (H.264 without loss, twice as big).
        sampling: ``exact`` decodes every frame; ``fast`` skips those that no other frame refers to (about
            0.6 of the CPU time, and the nearest decoded frame stands for a skipped one).
        max_pixels: A picture or frame with more pixels is refused.
        timeout_seconds: Wall-clock limit for one file.
        ffmpeg: Path of the binary, at least 5.1; empty = the one in the package imageio-ffmpeg.
        workers: ffmpeg processes at a time, each with one thread; 0 = one per CPU.
        max_failed_fraction: The stage fails when a larger share of its clips failed.
    """

    frames_per_second: float = 2.0
    short_side_pixels: int = 256
    max_seconds: float = 300.0
    max_frames: int = 600
    codec: str = "mjpeg"
    sampling: str = "exact"
    max_pixels: int = 40_000_000
    timeout_seconds: float = 120.0
    ffmpeg: str = ""
    workers: int = 0
    max_failed_fraction: float = 0.2

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise SettingError(f"unknown codec {self.codec!r}: expected one of {', '.join(CODECS)}")
        if self.sampling not in SAMPLINGS:
            raise SettingError(f"unknown sampling {self.sampling!r}: expected one of {', '.join(SAMPLINGS)}")
        for name in ("frames_per_second", "max_seconds", "timeout_seconds", "max_frames", "max_pixels"):
            if not getattr(self, name) > 0:
                raise SettingError(f"{name} is {getattr(self, name)}: give a number above 0")
        if self.workers < 0:
            raise SettingError(f"workers is {self.workers}: give 0 (one per CPU) or more")
        if self.short_side_pixels < 16:  # noqa: PLR2004 - smaller than any network's input
            raise SettingError(f"short_side_pixels is {self.short_side_pixels}: give 16 or more")
        if not 0 <= self.max_failed_fraction <= 1:
            raise SettingError(f"max_failed_fraction is {self.max_failed_fraction}: give a share, 0 to 1")


@functools.cache
def find_ffmpeg(setting: str) -> str:
    """Return the absolute path of the ffmpeg binary that a setting names; ``""`` = the packaged one.

    Raises:
        ToolError: There is none, or it cannot be run.
    """
    if setting:
        found = shutil.which(setting)
        if found is None:
            raise ToolError(
                f"ffmpeg is not an executable at {setting!r}: correct [decode] ffmpeg, or leave it empty for"
                " the binary that the package imageio-ffmpeg brings"
            )
        # Programs are started in another folder than this one.
        return os.path.abspath(found)  # noqa: PTH100 - Path has no way that keeps symbolic links and drops ".."
    import imageio_ffmpeg  # noqa: PLC0415 - 10 ms that only decoding needs

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ToolError("the package imageio-ffmpeg brings no binary for this machine: set [decode] ffmpeg") from error


@functools.cache
def ffmpeg_version(binary: str) -> str:
    """Return the version that a binary states, such as ``7.0.2-static``.

    Raises:
        ToolError: It is no ffmpeg, or older than 5.1.
    """
    try:
        first_line = run([binary, "-version"], timeout_seconds=20).stdout.decode("utf-8", "replace").partition("\n")[0]
    except ClipError as error:
        raise ToolError(f"{binary} -version gave no answer: set [decode] ffmpeg") from error
    match = VERSION.match(first_line)
    if match is None:
        raise ToolError(f"{binary} does not look like ffmpeg, it says {first_line[:60]!r}: set [decode] ffmpeg")
    if (int(match["major"]), int(match["minor"])) < OLDEST_VERSION:
        raise ToolError(f"{binary} is ffmpeg {match['name']}, older than 5.1: set [decode] ffmpeg")
    return match["name"]


def clip_command(binary: str, path: str, config: DecodeConfig) -> list[str]:
    """Return the command that writes a clip's sampled frames and 16 kHz mono sound to its standard output.

    The output is Matroska with both streams on one clock. A stream that the file lacks is left out.
    """
    import ffmpeg  # noqa: PLC0415 - see find_ffmpeg

    options = {**_guards(VIDEO_FORMATS, config), "t": config.max_seconds}
    if config.sampling == "fast":
        options["skip_frame"] = "noref"
    source = ffmpeg.input(f"file:{path}", **options)
    output = ffmpeg.output(
        source["v:0?"],
        source["a:0?"],
        "pipe:1",
        vf=f"fps={config.frames_per_second!r}:round=up,{_shrink(config.short_side_pixels)}",
        ac=1,
        ar=16000,
        format="matroska",
        **{"frames:v": config.max_frames, "c:a": "flac", "sample_fmt:a": "s16", "flags:a": "+bitexact"},
        **_picture_codec(config.codec),
        **_PLAIN_OUTPUT,
    )
    return [str(word) for word in output.global_args(*_GLOBAL).compile(binary)]


def cover_command(binary: str, path: str, kind: str, config: DecodeConfig) -> list[str]:
    """Return the command that writes a cover picture, shrunk, as one JPEG to its standard output.

    Args:
        binary: The ffmpeg to run.
        path: The picture.
        kind: ``jpeg``, ``png`` or ``webp``.
        config: The settings.
    """
    import ffmpeg  # noqa: PLC0415 - see find_ffmpeg

    demuxer = PICTURE_FORMATS[kind]
    source = ffmpeg.input(f"file:{path}", **_guards(demuxer, config), f=demuxer)
    output = ffmpeg.output(
        source["v:0"],
        "pipe:1",
        vf=_shrink(config.short_side_pixels),
        format="image2pipe",
        **{"frames:v": 1},
        **_picture_codec("mjpeg"),
        **_PLAIN_OUTPUT,
    )
    return [str(word) for word in output.global_args(*_GLOBAL).compile(binary)]


_GLOBAL = ("-hide_banner", "-nostdin", "-nostats")
_PLAIN_OUTPUT = {
    "map_metadata": -1,
    "map_chapters": -1,
    "sn": None,
    "dn": None,
    "fflags": "+bitexact",
    "threads": 1,
}


def _guards(formats: str, config: DecodeConfig) -> dict[str, object]:
    return {
        "protocol_whitelist": "file",
        "format_whitelist": formats,
        "max_pixels": config.max_pixels,
        "threads": 1,
    }


def _shrink(short_side: int) -> str:
    """Return a scale filter: short side at most ``short_side``, aspect kept, both sides even."""
    size = f"2*trunc(min({short_side},min(iw,ih))/2)"
    return f"scale=w='if(gt(iw,ih),-2,max(2,{size}))':h='if(gt(iw,ih),max(2,{size}),-2)'"


def _picture_codec(codec: str) -> dict[str, object]:
    if codec == "lossless":
        return {
            "c:v": "libx264",
            "qp": 0,
            "preset": "ultrafast",
            "pix_fmt": "yuv420p",
            "flags:v": "+bitexact",
        }
    return {"c:v": "mjpeg", "qmin": 1, "q:v": 1, "pix_fmt": "yuvj420p", "flags:v": "+bitexact"}
