"""Tiny clips and pictures, rendered by the ffmpeg that the pipeline uses."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import imageio_ffmpeg

from features.download import FROM_MANIFEST, DownloadedClip, MediaFile
from features.files import sha256_of
from features.magic import SNIFF_BYTES, kind_of
from features.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE = "testsrc2=size={size}:rate={rate}:duration={seconds}"
SOUND = "sine=frequency=440:sample_rate=16000:duration={seconds}"


@functools.cache
def ffmpeg() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def render(path: Path, inputs: Sequence[str], *options: str) -> Path:
    """Write what ffmpeg makes of some lavfi sources to ``path``."""
    sources = [word for source in inputs for word in ("-f", "lavfi", "-i", source)]
    argv = [ffmpeg(), "-v", "error", "-nostdin", "-y", *sources, *options, str(path)]
    subprocess.run(argv, check=True, timeout=60)
    return path


def render_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    rate: int = 10,
    size: str = "64x48",
    picture: bool = True,
    sound: bool = True,
    options: Sequence[str] = ("-movflags", "+faststart"),
) -> Path:
    """Write a short clip: H.264 picture, AAC sound, either of them left out on demand."""
    inputs = [PICTURE.format(size=size, rate=rate, seconds=seconds)] if picture else []
    inputs += [SOUND.format(seconds=seconds)] if sound else []
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"] if picture else []
    codecs += ["-c:a", "aac", "-b:a", "32k"] if sound else []
    return render(path, inputs, *codecs, *options)


def render_picture(path: Path, *, size: str = "64x48", codec: str = "") -> Path:
    """Write one picture in the format that the name's suffix says."""
    chosen = ["-c:v", codec] if codec else []
    return render(path, [PICTURE.format(size=size, rate=1, seconds=1)], "-frames:v", "1", *chosen)


def fake_program(path: Path, script: str) -> str:
    """Write an executable shell script and return its path."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def downloaded(video: Path | None, cover: Path | None = None, *, clip_id: str = "clip") -> DownloadedClip:
    """Return the row that Download would write for files below the root folder."""
    files = [None if path is None else media_file(path) for path in (video, cover)]
    return DownloadedClip(Outcome(clip_id, "ok"), files[0], files[1])


def media_file(path: Path) -> MediaFile:
    with path.open("rb") as stream:
        kind = kind_of(stream.read(SNIFF_BYTES))
    return MediaFile(FROM_MANIFEST, str(path.relative_to("/")), kind, path.stat().st_size, sha256_of(path))


FOLDERS = {FROM_MANIFEST: Path("/")}
