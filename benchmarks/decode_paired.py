"""What Decode costs beside an earlier build, on clips that both read alike.

Each clip is decoded by both builds, one right after the other, the one first in even rounds and the other in odd ones,
so that a busy machine slows both. What counts is the CPU time that the kernel counted for ffmpeg and for the process
around it. A round gives one ratio for each group of clips; beside the median of the rounds stands the ratio of the
least times of every clip, which a busy machine disturbs least.

The clips are the first ones of the given manifests, and some that are rendered here: containers and codecs of every
day, none of them with a fault, a tag or a layout that the builds treat differently.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.builds import baseline_build, this_build
from benchmarks.machine import keep, load_average, machine_facts
from features.decoding.ffmpeg import ffmpeg_version, find_ffmpeg
from features.downloads.media_kinds import SNIFF_BYTES, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from benchmarks.builds import Build

# The last commit before pictures, streams and downloads were read as their makers meant them.
BASELINE = "5baf3da"
AIM = 1.05
MANIFESTS = (Path("../shared/data/surveillance/manifest.jsonl"), Path("../shared/data/exercises/manifest.jsonl"))
WORKER = Path(__file__).with_name("decode_worker.py")
# Name -> settings of [decode] that differ from the defaults.
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "defaults": {},
    "fast": {"sampling": "fast"},
    "num_frames": {"num_frames": 8},
    "motion": {"motion_frames_per_second": 12.0},
}
PICTURE = "testsrc2=size={size}:rate={rate}:duration=4"
SOUND = "aevalsrc=0.4*sin(880*t)|0.4*sin(1320*t):sample_rate=44100:duration=4"
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "96k")
# Name -> size, frames a second, options.
RENDERED: Mapping[str, tuple[str, int, tuple[str, ...]]] = {
    "phone.mp4": ("324x576", 30, (*H264, *AAC)),
    "camera.mp4": ("1024x576", 25, (*H264, *AAC)),
    "clip.mkv": ("640x360", 25, (*H264, *AAC)),
    "clip.webm": ("640x360", 25, ("-c:v", "libvpx", "-b:v", "1M", "-c:a", "libopus")),
    "clip.ts": ("640x360", 25, (*H264, *AAC)),
    "hevc.mp4": ("640x360", 25, ("-c:v", "libx265", "-x265-params", "log-level=error", *AAC)),
}


@dataclass
class Worker:
    """A process that decodes with one build.

    Attributes:
        build: The build.
        process: The process, whose pipes carry one line a clip.
    """

    build: Build
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(self.build.tree)}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self.build.tree,
        )

    def cost(self, clip: Mapping[str, object]) -> tuple[float, float]:
        """Return the CPU seconds of ffmpeg and those of the process around it for one clip."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(clip), file=self.process.stdin, flush=True)
        ffmpeg, own, status = json.loads(self.process.stdout.readline())
        assert status == "ok", (clip, status)
        return ffmpeg, own

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--manifest", type=Path, action="append", help="JSON lines with a field `video`; several may be given"
    )
    parser.add_argument("--clips", type=int, default=16, help="of each manifest")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--settings", choices=SETTINGS, action="append", help="default: all")
    parser.add_argument("--baseline", default=BASELINE, help="commit to compare with")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    manifests = options.manifest or [path for path in MANIFESTS if path.is_file()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = baseline_build(folder, options.baseline)
        if old is None:
            return
        groups = {path.parent.name: _listed(path, options.clips) for path in manifests}
        groups["rendered"] = _rendered(folder)
        workers = {"old": Worker(old), "new": Worker(this_build())}
        figures: dict[str, object] = {
            "machine": machine_facts("av"),
            "ffmpeg": ffmpeg_version(find_ffmpeg("")),
            "baseline": options.baseline,
            "rounds": options.rounds,
            "aim": AIM,
        }
        for chosen in options.settings or SETTINGS:
            for group, paths in groups.items():
                clips = [_task(path, SETTINGS[chosen]) for path in paths]
                figures[f"{chosen}_{group}"] = _compare(workers, clips, options.rounds)
        for worker in workers.values():
            worker.close()
    keep("decode_paired", figures, options.output)


def _listed(manifest: Path, num_clips: int) -> list[Path]:
    lines = manifest.read_text(encoding="utf-8").splitlines()[:num_clips]
    return [(manifest.parent / json.loads(line)["video"]).resolve() for line in lines]


def _rendered(folder: Path) -> list[Path]:
    paths = []
    for name, (size, rate, codecs) in RENDERED.items():
        sources = [
            word for source in (PICTURE.format(size=size, rate=rate), SOUND) for word in ("-f", "lavfi", "-i", source)
        ]
        subprocess.run([find_ffmpeg(""), "-v", "error", "-nostdin", *sources, *codecs, str(folder / name)], check=True)
        paths.append(folder / name)
    return paths


def _task(path: Path, settings: Mapping[str, object]) -> dict[str, object]:
    with path.open("rb") as stream:
        kind = kind_of(stream.read(SNIFF_BYTES))
    return {"path": str(path), "kind": kind, "settings": settings}


def _compare(workers: Mapping[str, Worker], clips: Sequence[Mapping[str, object]], rounds: int) -> dict[str, object]:
    """Return the CPU milliseconds a clip of both builds, and their ratios."""
    shape = rounds, len(clips), 2  # rounds, clips, ffmpeg and Python
    seconds = {name: np.zeros(shape) for name in workers}
    for clip in clips:
        for worker in workers.values():
            # Files and code come from the disk once.
            worker.cost(clip)
    for turn in range(rounds):
        order = list(workers) if turn % 2 == 0 else list(workers)[::-1]
        for number, clip in enumerate(clips):
            for name in order:
                seconds[name][turn, number] = workers[name].cost(clip)
    old, new = seconds["old"], seconds["new"]
    by_clip = new.sum(axis=2).min(axis=0) / old.sum(axis=2).min(axis=0)
    return {
        "num_clips": len(clips),
        "load_average": load_average(),
        "old_cpu_ms": _milliseconds(old),
        "new_cpu_ms": _milliseconds(new),
        "new_over_old": _ratio(new.sum(axis=2), old.sum(axis=2)),
        "new_over_old_ffmpeg_alone": _ratio(new[:, :, 0], old[:, :, 0]),
        "highest_of_a_clip": f"{by_clip.max():.3f} {Path(str(clips[int(by_clip.argmax())]['path'])).name}",
    }


def _milliseconds(seconds: npt.NDArray[np.float64]) -> float:
    """Return the median over rounds of the mean over clips, of ffmpeg and Python together."""
    return round(float(np.median(seconds.sum(axis=2).mean(axis=1))) * 1000, 1)


def _ratio(new: npt.NDArray[np.float64], old: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return ratios of ``(rounds, clips)`` seconds."""
    by_round = new.sum(axis=1) / old.sum(axis=1)
    least = new.min(axis=0).sum() / old.min(axis=0).sum()
    figures = {
        "median": np.median(by_round),
        "lowest": by_round.min(),
        "highest": by_round.max(),
        "of_least_times": least,
    }
    return {name: round(float(value), 3) for name, value in figures.items()}


if __name__ == "__main__":
    main()
