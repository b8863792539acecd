"""Encodes the frames and the sound of one clip by ffmpeg."""

from __future__ import annotations

import os
import tempfile
import wave
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from features.base.errors import ClipError, ToolError
from features.base.files import TEMPORARY_PREFIX
from features.base.process import Limits, run
from features.sample.corpus.sound import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from features.sample.worlds.painter import UInt8

Options: TypeAlias = "dict[str, str | int]"

TIMEOUT_SECONDS = 120.0
SOUND_NAME = "sound.wav"
INPUT: Options = {"loglevel": "error", "threads": 1, "filter_threads": 1}
# Constant quality, and a key frame (g, keyint_min) wherever 2 frames a second are sampled: such a frame is
# coded by itself, so that no trace of the running direction is left in it.
VIDEO_CODING: Options = {
    "c:v": "libx264",
    "preset": "veryfast",
    "qp": 27,
    "sc_threshold": 0,
    "bf": 0,
    "threads": 1,
    "pix_fmt": "yuv420p",
    "flags:v": "+bitexact",
    "sws_flags": "bilinear+accurate_rnd+bitexact",
}
# The fast coder takes 21 ms a clip, the default one 55.
SOUND_CODING: Options = {"c:a": "aac", "aac_coder": "fast", "b:a": "32k", "flags:a": "+bitexact"}
CONTAINER: Options = {
    "map_metadata": -1,
    "fflags": "+bitexact",
    "movflags": "+faststart",
    "f": "mp4",
}


def encode_clip(
    frames: UInt8,
    sound: npt.NDArray[np.int16] | None,
    target: Path,
    *,
    ffmpeg: str,
    frames_per_second: int,
) -> None:
    """Write an .mp4 file of H.264 and AAC.

    Args:
        frames: ``(T, height, width, 3)``, height and width even.
        sound: ``(S,)`` at 16 kHz, or None for a file without sound.
        target: Written over if it exists.
        ffmpeg: Path of the program.
        frames_per_second: Even.

    Raises:
        ToolError: ffmpeg is missing, lacks an encoder, or takes too long.
    """
    _, height, width, _ = frames.shape
    picture: Options = {"f": "rawvideo", "pix_fmt": "rgb24", "s": f"{width}x{height}", "r": frames_per_second}
    coding: Options = {**VIDEO_CODING, "g": frames_per_second // 2, "keyint_min": frames_per_second // 2}
    with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY_PREFIX}{os.getpid()}-", dir=target.parent) as folder:
        argv = [ffmpeg, "-hide_banner", "-y", *_options(INPUT), *_options(picture), "-i", "pipe:0"]
        if sound is not None:
            _write_wave(sound, Path(folder) / SOUND_NAME)
            argv += ["-i", f"file:{SOUND_NAME}", *_options(SOUND_CODING)]
        argv += [*_options(coding), *_options(CONTAINER), f"file:{target.absolute()}"]
        _run(argv, frames.tobytes(), Path(folder))


def _options(values: Options) -> list[str]:
    return [part for name, value in values.items() for part in (f"-{name}", str(value))]


def _write_wave(sound: npt.NDArray[np.int16], path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(sound.astype("<i2").tobytes())


def _run(argv: list[str], stdin: bytes, folder: Path) -> None:
    try:
        completed = run(argv, Limits(TIMEOUT_SECONDS), stdin=stdin, folder=folder)
    except ClipError as error:
        raise ToolError(f"{argv[0]} cannot render the sample corpus: {error}; run it again") from error
    if completed.returncode < 0:
        raise ToolError(f"{argv[0]} was killed by signal {-completed.returncode} while it rendered: run it again")
    if completed.returncode != 0:
        lines = completed.stderr.strip().splitlines() or ["no message"]
        raise ToolError(
            f"{argv[0]} cannot render the sample corpus: exit code {completed.returncode}, {lines[-1]}; "
            "use an ffmpeg with libx264 and aac, such as the one of the package imageio-ffmpeg"
        )
