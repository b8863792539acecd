"""How fast embedding shards are read: an epoch in order beside ``np.fromfile``, and clips at random.

Shards of 1,000 clips with 10 frames of width 1,280 each, written by the pipeline's own writer, checksums on. Both ways
of reading find the bytes in the page cache. The plain files contain the same numbers and nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.machine import in_turns, keep, machine_facts, median_ratio, seconds
from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardReader, ShardWriter

DIM = 1280
FRAMES_PER_CLIP = 10
RANDOM_READS = 2000


def main() -> None:
    """Measure, print a table, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000, help="a shard")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(options.shards):
            _write(folder / f"shard-{number:05d}.h5", folder / f"plain-{number:05d}", options.clips, number)
        figures = _measure(folder, options.rounds)
    shape = {"num_shards": options.shards, "clips_per_shard": options.clips, "dim": DIM}
    keep("shard_reads", {"machine": machine_facts("h5py", "numpy"), **shape, **figures}, options.output)


def _write(shard: Path, plain: Path, num_clips: int, seed: int) -> None:
    """Write the same numbers twice."""
    rng = np.random.default_rng(seed)
    seconds_of_frames = np.arange(FRAMES_PER_CLIP, dtype=np.float32)
    with ShardWriter(shard, DIM, {"modality": "frames"}, has_tokens=False) as writer, plain.open("wb") as stream:
        for number in range(num_clips):
            rows = rng.standard_normal((FRAMES_PER_CLIP, DIM), dtype=np.float32)
            rows.astype(np.float16).tofile(stream)
            writer.add(
                Outcome(f"{seed:05d}-{number:05d}", "ok"),
                ClipFeatures(rows, seconds_of_frames),
                expected=FRAMES_PER_CLIP,
                input_digest=bytes(32),
            )


def _measure(folder: Path, rounds: int) -> dict[str, object]:
    shards = sorted(folder.glob("shard-*.h5"))
    plain = sorted(folder.glob("plain-*"))
    num_bytes = sum(path.stat().st_size for path in plain)
    in_order, from_file = _epoch(shards), _plain_epoch(plain)
    assert in_order == from_file, "the two ways read other numbers"
    found = in_turns({"shards": partial(_epoch, shards), "fromfile": partial(_plain_epoch, plain)}, rounds)
    readers = [ShardReader(path) for path in shards]
    rng = np.random.default_rng(0)
    reads = []
    for _ in range(rounds):
        chosen = [
            (readers[rng.integers(len(readers))], int(rng.integers(len(readers[0])))) for _ in range(RANDOM_READS)
        ]
        spent = seconds(lambda chosen=chosen: [reader[position] for reader, position in chosen])  # type: ignore[misc]
        reads.append(RANDOM_READS / spent)
    return {
        "megabytes": round(num_bytes / 1e6, 1),
        "epoch_megabytes_per_second": {
            name: round(num_bytes / 1e6 / statistics.median(times)) for name, times in found.items()
        },
        "epoch_speed_over_fromfile": median_ratio(found["fromfile"], found["shards"]),
        "random_clips_per_second": {
            "median": round(statistics.median(reads)),
            "lowest": round(min(reads)),
            "highest": round(max(reads)),
        },
    }


def _epoch(paths: list[Path]) -> float:
    """Read every clip of every shard in order; return a number that depends on each clip."""
    total = 0.0
    for path in paths:
        reader = ShardReader(path)
        for position in range(len(reader)):
            total += float(reader[position][0, 0])
        reader.close()
    return total


def _plain_epoch(paths: list[Path]) -> float:
    total = 0.0
    for path in paths:
        rows = np.fromfile(path, np.float16).reshape(-1, FRAMES_PER_CLIP, DIM)
        for clip in rows:
            total += float(clip[0, 0])
    return total


if __name__ == "__main__":
    main()
