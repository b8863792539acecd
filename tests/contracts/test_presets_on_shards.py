"""Every preset over real shards: the format is the contract between features and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from features.base.outcomes import Outcome
from features.formats.clip_data import ClipFeatures
from features.formats.hdf5_shard import ShardWriter
from features.formats.sharded_clips import ShardedClips
from models.config.presets import PRESETS
from models.data.batching import iterate_batches
from models.network.network import VideoNetwork

if TYPE_CHECKING:
    from pathlib import Path

DIMS = {"frames": 24, "motion": 16, "audio": 20, "cover": 24, "text": 12}
LENGTHS = {
    "frames": (7, 0, 1, 9, 4),
    "motion": (2, 1, 0, 3, 1),
    "audio": (5, 0, 2, 8, 1),
    "cover": (1, 1, 0, 1, 1),
    "text": (3, 6, 0, 2, 1),
}


@pytest.fixture
def clips(tmp_path: Path) -> ShardedClips:
    """Five clips in two shards of each modality, some of which lack some."""
    generator = np.random.default_rng(0)
    paths: dict[str, list[Path]] = {}
    for name, width in DIMS.items():
        paths[name] = []
        for start, stop in ((0, 3), (3, 5)):
            path = tmp_path / f"{name}-{start}.h5"
            is_text = name == "text"
            with ShardWriter(path, width, {"modality": name}, has_tokens=is_text) as writer:
                for number in range(start, stop):
                    steps = LENGTHS[name][number]
                    writer.add(
                        Outcome(f"clip-{number}", "ok"),
                        ClipFeatures(
                            generator.normal(size=(steps, width)).astype(np.float32),
                            np.zeros(steps, np.float32),
                            np.arange(steps, dtype=np.int32) if is_text else None,
                            np.zeros(steps, np.uint8) if is_text else None,
                        ),
                        expected=steps,
                        input_digest=bytes(32),
                    )
            paths[name].append(path)
    return ShardedClips(paths)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("training", [True, False])
def test_shapes_from_shards_to_heads(clips: ShardedClips, name: str, training: bool) -> None:
    config = PRESETS[name].network
    network = VideoNetwork(config, clips.modality_dims, 3, 4).train(training)
    batch = next(iterate_batches(clips, np.arange(5), config, 5))
    used = config.modality_names() or tuple(DIMS)
    assert list(batch.features) == list(used)
    for modality in used:
        assert batch.features[modality].shape == (5, max(LENGTHS[modality]), DIMS[modality])
        assert batch.masks[modality].sum(dim=1).tolist() == list(LENGTHS[modality])
    outputs = network(batch)
    assert outputs.category_logits.shape == (5, 3)
    assert outputs.tag_logits.shape == (5, 4)
    assert outputs.embedding.shape == (5, config.embedding_width)
    if not training:
        there = torch.tensor([[length > 0 for length in LENGTHS[modality]] for modality in used]).T
        assert torch.equal(outputs.present, there)
    assert torch.isfinite(outputs.embedding).all()


def test_tokens_of_the_shards_reach_the_trained_table(clips: ShardedClips) -> None:
    assert clips.token_ids(1).tolist() == [0, 1, 2, 3, 4, 5]
    assert clips.token_ids(2).tolist() == []
