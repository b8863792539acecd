"""Padded batches of clips and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from features.base.modalities import TEXT
from models.data.distributed import WHOLE_BATCH, BatchSlice
from models.data.sources import FeatureSource, used_modalities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from models.config.network import NetworkConfig
    from models.data.labels import Indices, Labels


@dataclass(frozen=True)
class BatchLabels:
    """The labels of a batch as tensors.

    Attributes:
        category: ``(B,)`` int64, -1 when it is not known.
        tags: ``(B, C)`` float32, 0 or 1.
        tags_known: ``(B,)`` bool.
    """

    category: Tensor
    tags: Tensor
    tags_known: Tensor

    def to(self, device: torch.device) -> BatchLabels:
        """Return the labels on ``device``."""
        return BatchLabels(self.category.to(device), self.tags.to(device), self.tags_known.to(device))


@dataclass(frozen=True)
class Batch:
    """Clips padded to the longest of them in each modality.

    Attributes:
        features: Modality -> ``(B, T, D)`` float32, zeros in the padding; T is at least 1.
        masks: Modality -> ``(B, T)`` bool, False is padding.
        labels: None when the batch is for prediction.
        token_ids: ``(B, T)`` int64 of the text tokens, 0 in the padding; None where the network needs none.
    """

    features: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    labels: BatchLabels | None
    token_ids: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``."""
        return Batch(
            {name: features.to(device) for name, features in self.features.items()},
            {name: mask.to(device) for name, mask in self.masks.items()},
            None if self.labels is None else self.labels.to(device),
            None if self.token_ids is None else self.token_ids.to(device),
        )


def collate(
    source: FeatureSource, indices: Indices, config: NetworkConfig, *, generator: np.random.Generator | None = None
) -> Batch:
    """Return the clips at ``indices`` as one batch without labels, cut to ``max_steps`` and ``max_tokens``.

    Args:
        source: The clips.
        indices: ``(B,)`` positions, at least one.
        config: Limits of the lengths, and the modalities.
        generator: Picks random steps if ``config.random_steps``; None picks the middle ones.
    """
    clips = [source[int(index)] for index in indices]
    features: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    picker = generator if config.random_steps else None
    for name in used_modalities(config, source.modality_dims):
        if name == TEXT:
            rows = [clip[name][: config.max_tokens] for clip in clips]
        else:
            rows = [_pick_steps(clip[name], config.max_steps, picker) for clip in clips]
        features[name], masks[name] = _pad(rows)
    token_ids = None
    if TEXT in features and config.text_embedding != "frozen":
        ids = [source.token_ids(int(index))[: config.max_tokens, None] for index in indices]
        token_ids = _pad(ids)[0].squeeze(2).long()
    return Batch(features, masks, None, token_ids)


def iterate_batches(
    source: FeatureSource,
    indices: Indices,
    config: NetworkConfig,
    batch_size: int,
    *,
    labels: Labels | None = None,
    generator: np.random.Generator | None = None,
    batch_slice: BatchSlice = WHOLE_BATCH,
) -> Iterator[Batch]:
    """Yield batches of the clips at ``indices``, each clip once.

    In training (with a ``generator``) the clips are split into as few batches as ``batch_size`` allows, of nearly equal
    size, so that no batch is too small for the statistics of a batch norm. Otherwise the last one may be smaller.

    Args:
        source: The clips.
        indices: ``(n,)`` positions in ``source``; none gives no batch.
        config: Limits of the lengths, and the modalities.
        batch_size: Most clips in a batch.
        labels: Labels of all clips of ``source``; None for prediction.
        generator: Shuffles the clips, and picks random steps; None keeps the order of ``indices``.
        batch_slice: Of each batch, the clips of this process.
    """
    for batch_indices in _split(indices, batch_size, generator):
        own = batch_indices[batch_slice.rank :: batch_slice.num_processes]
        batch = collate(source, own, config, generator=generator)
        known = None if labels is None else _batch_labels(labels, own)
        yield Batch(batch.features, batch.masks, known, batch.token_ids)


def _split(indices: Indices, batch_size: int, generator: np.random.Generator | None) -> list[Indices]:
    if generator is None:
        return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
    order = generator.permutation(indices)
    return np.array_split(order, -(-len(order) // batch_size)) if len(order) else []


def _batch_labels(labels: Labels, indices: Indices) -> BatchLabels:
    return BatchLabels(
        category=torch.from_numpy(labels.category[indices]),
        tags=torch.from_numpy(labels.tags[indices].astype(np.float32)),
        tags_known=torch.from_numpy(labels.tags_known[indices]),
    )


def _pad(rows: Sequence[npt.NDArray[np.generic]]) -> tuple[Tensor, Tensor]:
    """Return rows ``(T_i, D)`` padded with zeros, ``(B, T, D)`` float32 or int32, and their mask ``(B, T)``."""
    lengths = np.array([len(row) for row in rows])
    longest = max(1, int(lengths.max()))
    kind = np.float32 if np.issubdtype(rows[0].dtype, np.floating) else np.int32
    padded = np.zeros((len(rows), longest, rows[0].shape[1]), dtype=kind)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(padded), torch.from_numpy(np.arange(longest) < lengths[:, None])


def _pick_steps(
    steps: npt.NDArray[np.float16], limit: int, generator: np.random.Generator | None
) -> npt.NDArray[np.float16]:
    """Return at most ``limit`` steps: of each of ``limit`` even parts the middle one, or a random one."""
    num_steps = len(steps)
    if num_steps <= limit:
        return steps
    if generator is None:
        return steps[(2 * np.arange(limit) + 1) * num_steps // (2 * limit)]
    edges = np.arange(limit + 1) * num_steps // limit
    return steps[generator.integers(edges[:-1], edges[1:])]
