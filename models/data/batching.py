"""The data contract: clips by position, their labels, and padded batches of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from features.base.errors import DataError
from models.config.network import NetworkConfig

TEXT = "text"
"""The modality whose steps are tokens: a long one is cut after its first tokens."""

COVER = "cover"
"""The modality of one step."""

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

    def token_ids(self, index: int) -> npt.NDArray[np.int32]:
        """`(T,)` ids of one clip's text tokens, one for each step of the modality `text`."""


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
        token_ids: `(B, T)` int64 of the text tokens, 0 in the padding; None where the network needs none.
    """

    features: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    labels: BatchLabels | None
    token_ids: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`."""
        return Batch(
            {name: features.to(device) for name, features in self.features.items()},
            {name: mask.to(device) for name, mask in self.masks.items()},
            None if self.labels is None else self.labels.to(device),
            None if self.token_ids is None else self.token_ids.to(device),
        )


@dataclass(frozen=True)
class Share:
    """Which clips of every batch are this process's own: one in `num_processes`, from number `rank` on."""

    rank: int = 0
    num_processes: int = 1


WHOLE = Share()
"""The share of a process that is alone."""


def collate(
    source: ClipSource, indices: Indices, config: NetworkConfig, *, generator: np.random.Generator | None = None
) -> Batch:
    """The clips at `indices` as one batch without labels; long ones are cut as `max_steps` and `max_tokens` say.

    Args:
        source: The clips.
        indices: `(B,)` positions, at least one.
        config: Says how long clips are cut, and which modalities are used.
        generator: Picks random steps where `config.random_steps` asks for them; None picks the middle ones.
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


def used_modalities(config: NetworkConfig, modality_dims: Mapping[str, int]) -> dict[str, int]:
    """The modalities that a network of `config` uses, of those that there are features of, with their widths.

    Raises:
        DataError: There is none, or one that `config` names is not there.
    """
    if not modality_dims:
        raise DataError("a network was asked for without any modality: give at least one")
    missing = [name for name in config.modality_names() if name not in modality_dims]
    if missing:
        raise DataError(
            f"the network is to use {', '.join(missing)}, but there are features of {', '.join(modality_dims)} only: "
            "extract what is missing, or name other modalities"
        )
    return {name: modality_dims[name] for name in config.modality_names() or modality_dims}


def iterate_batches(
    source: ClipSource,
    indices: Indices,
    config: NetworkConfig,
    batch_size: int,
    *,
    labels: Labels | None = None,
    generator: np.random.Generator | None = None,
    share: Share = WHOLE,
) -> Iterator[Batch]:
    """Batches of the clips at `indices`, each clip once.

    In training (with a `generator`) the clips are cut into as few batches as `batch_size` allows, of nearly equal
    size, so that no batch is too small for the statistics of a batch norm; else the last one may be smaller.

    Args:
        source: The clips.
        indices: `(n,)` positions in `source`; none gives no batch.
        config: Says how long clips are cut, and which modalities are used.
        batch_size: Most clips in a batch.
        labels: Labels of all clips of `source`; None for prediction.
        generator: Shuffles the clips, and picks random steps; None keeps the order of `indices`.
        share: Of each batch, the clips of this process.
    """
    for chosen in _cut(indices, batch_size, generator):
        own = chosen[share.rank :: share.num_processes]
        batch = collate(source, own, config, generator=generator)
        known = None if labels is None else _batch_labels(labels, own)
        yield Batch(batch.features, batch.masks, known, batch.token_ids)


def _cut(indices: Indices, batch_size: int, generator: np.random.Generator | None) -> list[Indices]:
    if generator is None:
        return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
    order = generator.permutation(indices)
    return np.array_split(order, -(-len(order) // batch_size)) if len(order) else []


def _batch_labels(labels: Labels, chosen: npt.NDArray[np.int64]) -> BatchLabels:
    return BatchLabels(
        category=torch.from_numpy(labels.category[chosen]),
        tags=torch.from_numpy(labels.tags[chosen].astype(np.float32)),
        tags_known=torch.from_numpy(labels.tags_known[chosen]),
    )


def _pad(rows: Sequence[npt.NDArray[np.generic]]) -> tuple[Tensor, Tensor]:
    """Rows `(T_i, D)` as `(B, T, D)` float32, or of whole numbers int32, zeros after each, and their mask `(B, T)`."""
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
    """At most `limit` steps: of each of `limit` even parts the middle one, or a random one."""
    num_steps = len(steps)
    if num_steps <= limit:
        return steps
    if generator is None:
        return steps[(2 * np.arange(limit) + 1) * num_steps // (2 * limit)]
    edges = np.arange(limit + 1) * num_steps // limit
    return steps[generator.integers(edges[:-1], edges[1:])]
