"""What feeds and what disturbs a training step: shards against memory, and adversarial moves against none.

Both are ratios within interleaved rounds, of the default preset on clips like those of a corpus (8 frames of 1280,
20 audio windows of 160, 12 tokens of 384, a cover):

* an epoch whose batches come from HDF5 shards, every clip read again, against as many steps on one batch that is
  held in memory: what the loader costs. The clips are in as many shards as those of half a million clips would, each
  of which was opened before (in an epoch of so many clips, opening is nothing);
* an epoch with `adversarial = fgm` against one without, both from memory.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.machine import in_turns, keep, machine_facts, median_ratio
from features.base.outcomes import Outcome
from features.base.parallel import prefetch
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardWriter
from features.formats.sharded_clips import ShardedClips
from models.config.presets import PRESETS
from models.data.batching import Batch, collate, iterate_batches
from models.data.labels import Labels
from models.losses.class_weights import class_weights
from models.network.network import VideoNetwork
from models.training.train_step import Updater

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from models.config.training import TrainConfig

STEPS = {"frames": (8, 1280), "audio": (20, 160), "text": (12, 384), "cover": (1, 1280)}
NUM_CATEGORIES, NUM_TAGS = 31, 100


def main() -> None:
    """Measure, print, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=4000)
    parser.add_argument("--shards", type=int, default=560)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_shards(Path(folder), options.clips, -(-options.clips // options.shards))
        figures = _measure(paths, options.clips, options.batch_size, options.rounds)
    keep("training_steps", {**machine_facts("torch", "h5py"), **figures}, options.output)


def _measure(paths: dict[str, list[Path]], num_clips: int, batch_size: int, rounds: int) -> dict[str, object]:
    labels, config = _labels(num_clips), PRESETS["default"].train
    fgm = replace(config, adversarial="fgm")
    steppers = {name: _stepper(kind, labels) for name, kind in (("plain", config), ("fgm", fgm))}
    clips = ShardedClips(paths)
    held = collate(clips, np.arange(batch_size), PRESETS["default"].network)
    first = next(iterate_batches(clips, np.arange(batch_size), PRESETS["default"].network, batch_size, labels=labels))
    held = Batch(held.features, held.masks, first.labels, held.token_ids)
    num_steps = -(-num_clips // batch_size)
    _learn(steppers["plain"], [held] * 5)
    _learn(steppers["fgm"], [held] * 5)
    works: dict[str, Callable[[], None]] = {
        "memory": lambda: _learn(steppers["plain"], [held] * num_steps),
        "shards": lambda: _epoch(steppers["plain"], clips, labels, batch_size),
        "fgm": lambda: _learn(steppers["fgm"], [held] * num_steps),
    }
    _epoch(steppers["plain"], clips, labels, batch_size)
    times = in_turns(works, rounds)
    return {
        "num_clips": num_clips,
        "num_shards": len(paths["frames"]),
        "batch_size": batch_size,
        "clips_per_second_from_memory": round(num_clips / float(np.median(times["memory"]))),
        "speed_from_shards_over_from_memory": median_ratio(times["memory"], times["shards"]),
        "adversarial_step_over_plain": median_ratio(times["fgm"], times["memory"]),
    }


def _stepper(config: TrainConfig, labels: Labels) -> Updater:
    dims = {name: width for name, (_, width) in STEPS.items()}
    network = VideoNetwork(PRESETS["default"].network, dims, NUM_CATEGORIES, NUM_TAGS)
    return Updater(network.train(), config, class_weights(labels, np.arange(len(labels)), 0.0))


def _epoch(updater: Updater, clips: ShardedClips, labels: Labels, batch_size: int) -> None:
    """One pass over the shards, as the trainer makes it."""
    batches = iterate_batches(
        clips,
        np.arange(len(clips)),
        PRESETS["default"].network,
        batch_size,
        labels=labels,
        generator=np.random.default_rng(0),
    )
    with closing(prefetch(batches, 2)) as ready:
        _learn(updater, ready)


def _learn(updater: Updater, batches: Iterable[Batch]) -> None:
    for batch in batches:
        if batch.labels is not None:
            updater.update(batch, batch.labels, 1e-4)


def _labels(num_clips: int) -> Labels:
    generator = np.random.default_rng(0)
    return Labels(
        tuple(f"category {i}" for i in range(NUM_CATEGORIES)),
        tuple(f"tag {i}" for i in range(NUM_TAGS)),
        generator.integers(0, NUM_CATEGORIES, num_clips),
        generator.random((num_clips, NUM_TAGS)) < 0.05,
        np.ones(num_clips, bool),
    )


def _write_shards(folder: Path, num_clips: int, clips_per_shard: int) -> dict[str, list[Path]]:
    generator = np.random.default_rng(0)
    paths: dict[str, list[Path]] = {}
    for name, (num_steps, width) in STEPS.items():
        (folder / name).mkdir()
        paths[name] = []
        for start in range(0, num_clips, clips_per_shard):
            path = folder / name / f"shard-{start // clips_per_shard:05}.h5"
            has_tokens = name == "text"
            with ShardWriter(path, width, {"modality": name, "params": "{}"}, has_tokens=has_tokens) as writer:
                for number in range(start, min(start + clips_per_shard, num_clips)):
                    clip = ClipFeatures(
                        generator.normal(size=(num_steps, width)).astype(np.float32),
                        np.arange(num_steps, dtype=np.float32),
                        np.arange(num_steps, dtype=np.int32) if has_tokens else None,
                        np.zeros(num_steps, np.uint8) if has_tokens else None,
                    )
                    digest = number.to_bytes(32, "big")
                    writer.add(Outcome(f"clip-{number}", "ok"), clip, expected=num_steps, input_digest=digest)
            paths[name].append(path)
    return paths


if __name__ == "__main__":
    main()
