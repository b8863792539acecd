"""Scores and embeddings of clips from a checkpoint."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.batching import Batch, ClipSource, Indices, iterate_batches
from models.checkpoints import Checkpoint, load
from models.heads import category_probabilities, tag_probabilities

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """What the network says about N clips.

    Attributes:
        category_scores: `(N, K)` float32, each row adding up to 1; K is 0 without categories.
        tag_scores: `(N, C)` float32 in 0..1; C is 0 without tags.
        embedding: `(N, E)` float32 of length 1.
    """

    category_scores: Float32
    tag_scores: Float32
    embedding: Float32

    def __len__(self) -> int:
        return len(self.embedding)


def predict(
    checkpoint_folder: Path,
    source: ClipSource,
    indices: Indices,
    *,
    feature_recipes: Mapping[str, str],
    batch_size: int = 256,
    device: str = "cpu",
    on_batch: Callable[[int], None] | None = None,
) -> Predictions:
    """Predictions of the clips at `indices`, in their order; see `iter_predictions`."""
    checkpoint = load(checkpoint_folder, expected_dims=source.modality_dims, expected_recipes=feature_recipes)
    parts = []
    for part in _iter_batches(checkpoint, source, indices, batch_size, device):
        parts.append(part)
        if on_batch is not None:
            on_batch(len(part))
    info = checkpoint.info
    empty = Predictions(
        np.zeros((0, len(info.category_names)), np.float32),
        np.zeros((0, len(info.tag_names)), np.float32),
        np.zeros((0, info.network.embedding_width), np.float32),
    )
    return Predictions(
        np.concatenate([part.category_scores for part in (empty, *parts)]),
        np.concatenate([part.tag_scores for part in (empty, *parts)]),
        np.concatenate([part.embedding for part in (empty, *parts)]),
    )


def iter_predictions(
    checkpoint_folder: Path,
    source: ClipSource,
    indices: Indices,
    *,
    feature_recipes: Mapping[str, str],
    batch_size: int = 256,
    device: str = "cpu",
) -> Iterator[Predictions]:
    """Predictions of the clips at `indices` in their order, at most `batch_size` at a time.

    Memory does not grow with the number of clips.

    Args:
        checkpoint_folder: Where `train` wrote.
        source: The clips.
        indices: `(n,)` positions in `source`; none yields nothing.
        feature_recipes: Modality -> recipe of the features of `source`.
        batch_size: Clips at a time; at least 1.
        device: Name of a torch device.

    Raises:
        CheckpointError: There is no sound checkpoint, or it was trained on other features.
    """
    checkpoint = load(checkpoint_folder, expected_dims=source.modality_dims, expected_recipes=feature_recipes)
    yield from _iter_batches(checkpoint, source, indices, batch_size, device)


def _iter_batches(
    checkpoint: Checkpoint, source: ClipSource, indices: Indices, batch_size: int, device: str
) -> Iterator[Predictions]:
    torch_device = torch.device(device)
    checkpoint.network.to(torch_device)
    for batch in iterate_batches(source, indices, checkpoint.info.network, batch_size):
        yield _predict_batch(checkpoint, batch.to(torch_device))


@torch.inference_mode()
def _predict_batch(checkpoint: Checkpoint, batch: Batch) -> Predictions:
    outputs = checkpoint.network(batch)
    num_clips = len(outputs.embedding)
    return Predictions(
        category_scores=np.zeros((num_clips, 0), np.float32)
        if outputs.category_logits is None
        else category_probabilities(outputs.category_logits).cpu().numpy(),
        tag_scores=np.zeros((num_clips, 0), np.float32)
        if outputs.tag_logits is None
        else tag_probabilities(outputs.tag_logits).cpu().numpy(),
        embedding=functional.normalize(outputs.embedding.float(), dim=1).cpu().numpy(),
    )
