"""Batches that stand in for clips when a network is looked at."""

import torch

from features.base.modalities import has_steps
from models.data.batching import Batch
from models.data.sources import TEXT
from models.network.network import VideoNetwork


def example_batch(network: VideoNetwork, num_clips: int = 2, num_steps: int = 16) -> Batch:
    """Clips of zeros that have all modalities of `network`, each of `num_steps` steps, but one of a cover."""
    steps = {name: num_steps if has_steps(name) else 1 for name in network.modality_dims}
    needs_ids = TEXT in steps and network.config.text_embedding != "frozen"
    return Batch(
        features={name: torch.zeros(num_clips, steps[name], width) for name, width in network.modality_dims.items()},
        masks={name: torch.ones(num_clips, number, dtype=torch.bool) for name, number in steps.items()},
        labels=None,
        token_ids=torch.zeros(num_clips, steps[TEXT], dtype=torch.int64) if needs_ids else None,
    )


def more_clips(batch: Batch) -> Batch:
    """Each clip twice."""
    return _repeated(batch, clips=2, steps=1)


def more_steps(batch: Batch) -> Batch:
    """Each clip's steps twice, but for a cover, which has one."""
    return _repeated(batch, clips=1, steps=2)


def _repeated(batch: Batch, *, clips: int, steps: int) -> Batch:
    features, masks = {}, {}
    for name, tensor in batch.features.items():
        times = steps if has_steps(name) else 1
        features[name] = tensor.repeat(clips, times, 1)
        masks[name] = batch.masks[name].repeat(clips, times)
    token_ids = None if batch.token_ids is None else batch.token_ids.repeat(clips, steps)
    return Batch(features, masks, None, token_ids)
