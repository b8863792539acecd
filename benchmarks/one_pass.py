"""How close Decode and Extract come to the least that their work can take, staged and in one pass.

The least is a sum: the bare ffmpeg commands of Decode, as many at a time as there are CPUs, their output thrown away;
the network alone over the batches of Extract, held in memory; and the decoding of the stored JPEGs by as many
threads. Staged, Decode writes its shard and Extract reads it; in one pass Extract decodes the media itself and keeps
nothing. Loading the network is not counted. Rounds are interleaved; each ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.clips import add_data_option, decode, media_files
from benchmarks.floors import Recorder, decode_jpegs, stored_frames
from benchmarks.machine import in_turns, keep, machine_facts, median_ratio
from features.backbones.extractor.clip_inputs import media_inputs
from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.extractor.extraction import extract_shard
from features.backbones.extractor.extractor import load_extractor
from features.base.files import sha256_of
from features.base.parallel import WorkerPool, num_cpus
from features.decoding.commands import clip_command
from features.decoding.config import DecodeConfig
from features.decoding.ffmpeg import find_ffmpeg
from features.decoding.shard import OnTheFlyClips
from features.formats.tar_shard import open_tar_shard

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.downloads.download_rows import DownloadedClip

BACKBONE = "bundled:efficientnet_lite0"
ATTRIBUTES = {"modality": "frames"}


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = media_files(options.data, options.clips, folder / "sample")
        figures = _measure(clips, folder, options.rounds)
    keep("one_pass", {"machine": machine_facts("openvino", "torch", "av"), **figures}, options.output)


def _measure(clips: list[DownloadedClip], folder: Path, rounds: int) -> dict[str, object]:
    config = DecodeConfig()
    shard, staged_h5, one_pass_h5 = folder / "decoded.tar", folder / "staged.h5", folder / "one-pass.h5"
    extractor = load_extractor(ExtractConfig("frames", BACKBONE, device="cpu"))

    def staged() -> None:
        decode(clips, shard, config)
        extract_shard(media_inputs(open_tar_shard(shard), "frames"), extractor, staged_h5, ATTRIBUTES)

    def one_pass() -> None:
        with WorkerPool(num_cpus()) as pool:
            fresh = OnTheFlyClips(clips, config, lambda file: Path(file.path), one_pass_h5, pool)
            extract_shard(media_inputs(fresh, "frames"), extractor, one_pass_h5, ATTRIBUTES)

    with Recorder.of(extractor) as recorder:
        staged()
    one_pass()
    assert sha256_of(staged_h5) == sha256_of(one_pass_h5), "the two ways give other bytes"
    pictures = [picture for clip in stored_frames(shard) for picture in clip]
    works: dict[str, Callable[[], object]] = {
        "staged": staged,
        "one_pass": one_pass,
        "ffmpeg": lambda: _run_bare(clips, config),
        "network": recorder.replay,
        "jpeg": lambda: decode_jpegs(pictures),
    }
    found = in_turns(works, rounds)
    floor = [sum(parts) for parts in zip(found["ffmpeg"], found["network"], found["jpeg"], strict=True)]
    return {
        "runtime": recorder.name,
        "num_clips": len(clips),
        "num_frames": len(pictures),
        "rounds": rounds,
        "median_seconds": {name: round(statistics.median(times), 3) for name, times in found.items()},
        "staged_over_floor": median_ratio(found["staged"], floor),
        "one_pass_over_floor": median_ratio(found["one_pass"], floor),
    }


def _run_bare(clips: list[DownloadedClip], config: DecodeConfig) -> None:
    binary = find_ffmpeg(config.ffmpeg)
    commands = [
        clip_command(binary, clip.video.path, clip.video.kind, config) for clip in clips if clip.video is not None
    ]
    with ThreadPoolExecutor(num_cpus()) as pool:
        list(pool.map(_run, commands))


def _run(command: list[str]) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, check=True)


if __name__ == "__main__":
    main()
