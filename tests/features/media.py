"""Tiny clips and pictures, rendered by the ffmpeg that the pipeline uses."""

from __future__ import annotations

import functools
import io
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio_ffmpeg
import numpy as np

from features.base.files import sha256_of
from features.base.outcomes import Outcome
from features.base.parallel import WorkerPool
from features.decoding.clip import decode_clip
from features.decoding.shard import Decoding, decode_shard
from features.decoding.work import ClipDecoder
from features.downloads.download import locate_unchanged
from features.downloads.download_rows import FROM_MANIFEST, DownloadedClip, MediaFile
from features.downloads.media_kinds import (
    COVER_KINDS,
    EXTRA_VIDEO_KINDS,
    SOUND_KINDS,
    VIDEO_KINDS,
    KindSniffer,
)
from features.formats.clip_data import ImageSequence
from features.formats.matroska import stored_pictures
from features.formats.tar_shard import open_tar_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from features.decoding.config import DecodeConfig
    from features.formats.tar_shard import TarShardWriter


@dataclass(frozen=True)
class ClipParts:
    """One decoded clip, its parts in memory."""

    outcome: Outcome
    matroska: bytes | None = None
    cover: bytes | None = None
    about: Mapping[str, Any] = field(default_factory=dict)  # JSON values


def read_parts(path: Path) -> Iterator[ClipParts]:
    """Yield the clips of a decoded shard in order."""
    for clip in open_tar_shard(path):
        matroska, cover = (None if part is None else part.read() for part in (clip.matroska, clip.cover))
        yield ClipParts(clip.outcome, matroska, cover, clip.about)


def read_frames(matroska: bytes) -> ImageSequence | None:
    """Return the stored frames, ``(T, H, W, 3)``, with their times; ``None`` when there are none."""
    pictures = list(stored_pictures(io.BytesIO(matroska)))
    if not pictures:
        return None
    seconds = np.array([picture.time_seconds for picture in pictures], np.float32)
    return ImageSequence(np.stack([picture.pixels() for picture in pictures]), seconds)


def add_parts(writer: TarShardWriter, clip: ClipParts) -> None:
    """Append one clip to a decoded shard."""
    matroska, cover = (None if part is None else io.BytesIO(part) for part in (clip.matroska, clip.cover))
    writer.add(clip.outcome, matroska, cover, clip.about)


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
    """Return the row of a file as Download would write it; what it would refuse has got through as an mp4."""
    sniffer = KindSniffer()
    sniffer.update(path.read_bytes())
    kind = sniffer.kind()
    kind = kind if kind in VIDEO_KINDS | SOUND_KINDS | COVER_KINDS | EXTRA_VIDEO_KINDS else "mp4"
    return MediaFile(FROM_MANIFEST, str(path.relative_to("/")), kind, path.stat().st_size, sha256_of(path))


def locate(file: MediaFile) -> Path:
    return locate_unchanged(file, Path("/"))


def decode_to(
    path: Path,
    clips: Sequence[DownloadedClip],
    config: DecodeConfig,
    *,
    workers: int = 1,
    previous: Path | None = None,
    on_clip: Callable[[], None] = lambda: None,
) -> Decoding:
    """Write a decoded shard."""
    with WorkerPool(workers) as pool:
        return decode_shard(clips, config, locate, path, pool, on_clip, previous)


def decode_row(row: DownloadedClip, config: DecodeConfig, program: str = "") -> ClipParts:
    """Return what could be decoded of one clip, its parts in memory."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        decoder = ClipDecoder(config, program or ffmpeg(), locate, place, place, 1 << 20)
        clip = decode_clip(row, decoder)
        # What is not part of the result does not wait for the end of the shard.
        assert decoder.spools == {part for part in (clip.matroska, clip.cover) if part is not None}
        parts = []
        for part in (clip.matroska, clip.cover):
            if part is not None:
                part.seek(0)
            parts.append(None if part is None else part.read())
        decoder.release(decoder.spools)
    return ClipParts(clip.outcome, parts[0], parts[1], clip.about)
