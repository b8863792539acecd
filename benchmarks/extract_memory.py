"""How much memory Extract takes at most, for ordinary clips and for one of half an hour.

Each modality with its bundled backbone runs in a fresh process, from loading the network to the finished shard, and
reports its peak memory (VmHWM). The long clip has 3,600 frames, ffmpeg's test picture, and 3,600
seconds of a sine; for text it is a title of 30,000 characters.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.clips import add_data_option, decode, media_files
from benchmarks.machine import keep, machine_facts
from features.backbones.extractor.clip_inputs import media_inputs, text_inputs
from features.backbones.extractor.extract_config import TEXT_FIELDS, ExtractConfig
from features.backbones.extractor.extraction import extract_shard
from features.backbones.extractor.extractor import load_extractor
from features.base.outcomes import Outcome
from features.decoding.ffmpeg import find_ffmpeg
from features.formats.records import ClipRecord
from features.formats.tar_shard import TarShardWriter, open_tar_shard
from tests.memory import peak_megabytes

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

BACKBONES = {
    "frames": "bundled:efficientnet_lite0",
    "cover": "bundled:efficientnet_lite0",
    "audio": "dsp:logmel",
    "text": "bundled:all-minilm-l6-v2",
}
LONG_FRAMES = 3600
LONG_SECONDS = 3600
LONG_TITLE = "a dog runs on the beach, 一只狗在海滩上奔跑. " * 840
LIMIT_MEGABYTES = 2048


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ordinary, long_clip = folder / "ordinary.tar", folder / "long.tar"
        decode(media_files(options.data, options.clips, folder / "sample"), ordinary)
        _write_long(long_clip, folder)
        figures = {
            modality: {
                "ordinary_clips_mb": _in_fresh_process(modality, ordinary, options.clips),
                "long_clip_mb": _in_fresh_process(modality, long_clip, 1),
            }
            for modality in BACKBONES
        }
    most = max(megabytes for found in figures.values() for megabytes in found.values())
    about = {"machine": machine_facts("openvino", "torch"), "clips": options.clips, "limit_mb": LIMIT_MEGABYTES}
    keep("extract_memory", {**about, **figures, "most_mb": most}, options.output)


def _write_long(shard: Path, folder: Path) -> None:
    """Write a decoded shard with one clip that is long and cheap to make."""
    path = folder / "long.mkv"
    sources = [
        *("-f", "lavfi", "-i", f"testsrc2=size=340x256:rate=2:duration={LONG_FRAMES / 2}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=16000:duration={LONG_SECONDS}"),
    ]
    codecs = ("-c:v", "mjpeg", "-q:v", "1", "-qmin", "1", "-pix_fmt", "yuvj420p", "-c:a", "flac", "-ac", "1")
    command = [find_ffmpeg(""), "-nostdin", "-v", "error", *sources, *codecs, "-f", "matroska", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    with TarShardWriter(shard) as writer, path.open("rb") as film:
        writer.add(Outcome("long", "ok"), film, None, {"expected_frames": LONG_FRAMES})


def _in_fresh_process(modality: str, shard: Path, num_clips: int) -> int:
    # A fresh interpreter: the peak of its memory is that of the work alone.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_extract, args=(modality, shard, num_clips, sender))
    process.start()
    sender.close()
    megabytes: int = receiver.recv()
    process.join()
    return megabytes


def _extract(modality: str, shard: Path, num_clips: int, sender: Connection) -> None:
    extractor = load_extractor(ExtractConfig(modality, BACKBONES[modality]))
    if modality == "text":
        title = LONG_TITLE if num_clips == 1 else "a dog runs on the beach"
        inputs = text_inputs((ClipRecord(f"{n:05d}", title=title) for n in range(num_clips)), TEXT_FIELDS)
    else:
        inputs = media_inputs(open_tar_shard(shard), modality)
    extract_shard(inputs, extractor, shard.with_suffix(f".{modality}.h5"), {"modality": modality})
    sender.send(round(peak_megabytes()))


if __name__ == "__main__":
    main()
