"""The data contract: clips by position, their labels, and padded batches of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.config import NetworkConfig
from models.errors import DataError

TEXT = "text"
"""The modality whose steps are tokens: a long one is cut after its first tokens."""

UNKNOWN_CATEGORY = -1
"""The category of a clip whose category is not known."""

Indices = npt.NDArray[np.int64]
"""Positions in a `ClipSource`."""

ClipFeatures = Mapping[str, npt.NDArray[np.float16]]
"""Modality -> `(T, D)`; T is 0 when the clip lacks the modality."""


class ClipSource(Protocol):
    """Clips by position, 0 to `len(source) - 1`."""

    @property
    def modality_dims(self) -> Mapping[str, int]:
        """Modality -> D, in one fixed order."""

    def __len__(self) -> int:
        """Number of clips."""

    def __getitem__(self, index: int) -> ClipFeatures:
        """Every modality of `modality_dims` of one clip."""


@dataclass(frozen=True)
class Labels:
    """What is known about the clips of a `ClipSource`, in its order.

    Attributes:
        category_names: The K categories.
        tag_names: The C tags.
        category: `(N,)` int64, 0 to K - 1, or -1 when it is not known.
        tags: `(N, C)` bool.
        tags_known: `(N,)` bool; the tags of a clip with False are ignored.
    """

    category_names: tuple[str, ...]
    tag_names: tuple[str, ...]
    category: npt.NDArray[np.int64]
    tags: npt.NDArray[np.bool_]
    tags_known: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        num_clips, num_tags = len(self.category), len(self.tag_names)
        if self.tags.shape != (num_clips, num_tags) or self.tags_known.shape != (num_clips,):
            raise DataError(
                f"labels of {num_clips} clips have tags {self.tags.shape} and tags_known "
                f"{self.tags_known.shape}: give ({num_clips}, {num_tags}) and ({num_clips},)"
            )
        if num_clips and not -1 <= self.category.min() <= self.category.max() < len(self.category_names):
            raise DataError(
                f"category labels run from {self.category.min()} to {self.category.max()}: give "
                f"-1 (unknown) to {len(self.category_names) - 1}"
            )

    def __len__(self) -> int:
        return len(self.category)


@dataclass(frozen=True)
class BatchLabels:
    """The labels of a batch as tensors.

    Attributes:
        category: `(B,)` int64, -1 when it is not known.
        tags: `(B, C)` float32, 0 or 1.
        tags_known: `(B,)` bool.
    """

    category: Tensor
    tags: Tensor
    tags_known: Tensor

    def to(self, device: torch.device) -> "BatchLabels":
        """The labels on `device`."""
        return BatchLabels(self.category.to(device), self.tags.to(device), self.tags_known.to(device))


@dataclass(frozen=True)
class Batch:
    """Some clips, padded to the longest of them in each modality.

    Attributes:
        features: Modality -> `(B, T, D)` float32, zeros in the padding; T is at least 1.
        masks: Modality -> `(B, T)` bool, False is padding.
        labels: None when the batch is for prediction.
    """

    features: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    labels: BatchLabels | None

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`."""
        return Batch(
            {name: features.to(device) for name, features in self.features.items()},
            {name: mask.to(device) for name, mask in self.masks.items()},
            None if self.labels is None else self.labels.to(device),
        )


def collate(clips: Sequence[ClipFeatures], config: NetworkConfig) -> Batch:
    """The clips as one batch without labels; long ones are cut as `max_steps` and `max_tokens` say."""
    features: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    for name in clips[0]:
        limit = config.max_tokens if name == TEXT else config.max_steps
        rows = [_shorten(name, clip[name], limit) for clip in clips]
        longest = max(1, *(len(row) for row in rows))
        padded = np.zeros((len(rows), longest, rows[0].shape[1]), dtype=np.float32)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        lengths = np.array([len(row) for row in rows])
        features[name] = torch.from_numpy(padded)
        masks[name] = torch.from_numpy(np.arange(longest) < lengths[:, None])
    return Batch(features, masks, None)


def iterate_batches(
    source: ClipSource,
    indices: Indices,
    config: NetworkConfig,
    batch_size: int,
    *,
    labels: Labels | None = None,
    generator: np.random.Generator | None = None,
) -> Iterator[Batch]:
    """Batches of the clips at `indices`, each clip once; the last batch may be smaller.

    Args:
        source: The clips.
        indices: `(n,)` positions in `source`; none gives no batch.
        config: Says how long clips are cut.
        batch_size: Most clips in a batch.
        labels: Labels of all clips of `source`; None for prediction.
        generator: Shuffles the clips; None keeps the order of `indices`.
    """
    order = indices if generator is None else generator.permutation(indices)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = collate([source[int(index)] for index in chosen], config)
        if labels is None:
            yield batch
        else:
            yield Batch(batch.features, batch.masks, _batch_labels(labels, chosen))


def _batch_labels(labels: Labels, chosen: npt.NDArray[np.int64]) -> BatchLabels:
    return BatchLabels(
        category=torch.from_numpy(labels.category[chosen]),
        tags=torch.from_numpy(labels.tags[chosen].astype(np.float32)),
        tags_known=torch.from_numpy(labels.tags_known[chosen]),
    )


def _shorten(name: str, steps: npt.NDArray[np.float16], limit: int) -> npt.NDArray[np.float16]:
    """At most `limit` steps: the first ones of a text, else the middle one of each of `limit` even parts."""
    if len(steps) <= limit:
        return steps
    if name == TEXT:
        return steps[:limit]
    return steps[(2 * np.arange(limit) + 1) * len(steps) // (2 * limit)]
