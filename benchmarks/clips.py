"""Media for the benchmarks of Extract: real clips where there are some, else the embedded sample corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from features.base.outcomes import Outcome
from features.base.parallel import WorkerPool, num_cpus
from features.decoding.config import DecodeConfig
from features.decoding.ffmpeg import find_ffmpeg
from features.decoding.shard import decode_shard
from features.downloads.download_rows import FROM_MANIFEST, DownloadedClip, MediaFile
from features.downloads.media_kinds import SNIFF_BYTES, kind_of
from features.sample.config import MANIFEST_NAME, SampleConfig
from features.sample.render import render_corpus

if TYPE_CHECKING:
    from argparse import ArgumentParser

# JSON lines with a field ``video``, a path beside the manifest.
REAL_CLIPS = Path("../shared/data/exercises/manifest.jsonl")


def add_data_option(parser: ArgumentParser) -> None:
    """Let the user name a manifest."""
    parser.add_argument(
        "--data",
        type=Path,
        default=REAL_CLIPS if REAL_CLIPS.is_file() else None,
        help="JSON lines with a field `video`, a path beside the manifest; without: the embedded sample corpus",
    )


def media_files(data: Path | None, num_clips: int, folder: Path) -> list[DownloadedClip]:
    """Return the first clips of a manifest as Download hands them on, or of the sample, rendered in ``folder``."""
    if data is None:
        render_corpus(SampleConfig(), folder, ffmpeg=find_ffmpeg(""), workers=num_cpus())
        data = folder / MANIFEST_NAME
    rows = (json.loads(line) for line in data.read_text(encoding="utf-8").splitlines() if line)
    paths = [data.parent / row["video"] for row in rows if row.get("video")]
    files = [_file(path.resolve()) for path in paths if path.is_file()]
    readable = [file for file in files if file.kind]
    return [DownloadedClip(Outcome(f"{number:05d}", "ok"), file) for number, file in enumerate(readable[:num_clips])]


def decode(clips: list[DownloadedClip], shard: Path, config: DecodeConfig | None = None) -> None:
    """Write the decoded shard of ``clips``."""
    with WorkerPool(num_cpus()) as pool:
        decode_shard(clips, config or DecodeConfig(), lambda file: Path(file.path), shard, pool)


def _file(path: Path) -> MediaFile:
    with path.open("rb") as stream:
        kind = kind_of(stream.read(SNIFF_BYTES))
    return MediaFile(FROM_MANIFEST, str(path), kind, path.stat().st_size, "")
