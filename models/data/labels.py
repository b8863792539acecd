"""Labels of clips as the arrays that training and metrics take. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

# Category of a clip of unknown category.
UNKNOWN_CATEGORY = -1

# Positions of clips.
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Labels of the clips of a ``FeatureSource``, in its order.

    Attributes:
        category_names: The K categories.
        tag_names: The C tags.
        category: ``(N,)`` int64, 0 to K - 1, or -1 when it is not known.
        tags: ``(N, C)`` bool.
        tags_known: ``(N,)`` bool; the tags of a clip with False are ignored.
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


def build_labels(
    category_names: Sequence[str],
    tag_names: Sequence[str],
    categories: Sequence[str | None],
    tags: Sequence[Sequence[str] | None],
) -> Labels:
    """Return the labels of N clips as arrays.

    A name that is not in the label space counts as unknown for a category and is dropped from the tags.

    Args:
        category_names: The K categories.
        tag_names: The C tags.
        categories: N categories, None where unknown.
        tags: N lists of tags, None where unknown.
    """
    category_numbers = {name: number for number, name in enumerate(category_names)}
    tag_numbers = {name: number for number, name in enumerate(tag_names)}
    matrix = np.zeros((len(tags), len(tag_names)), np.bool_)
    for row, names in enumerate(tags):
        matrix[row, [tag_numbers[name] for name in names or () if name in tag_numbers]] = True
    numbers = [category_numbers.get(name or "", UNKNOWN_CATEGORY) for name in categories]
    return Labels(
        category_names=tuple(category_names),
        tag_names=tuple(tag_names),
        category=np.asarray(numbers, np.int64),
        tags=matrix,
        tags_known=np.asarray([names is not None for names in tags], np.bool_),
    )


def positions_of(splits: Sequence[str], name: str) -> npt.NDArray[np.int64]:
    """Return the positions of ``name`` in ``splits``, ascending."""
    return np.asarray([position for position, split in enumerate(splits) if split == name], np.int64)


def every_position(clips: Sized) -> npt.NDArray[np.int64]:
    """Return 0 to ``len(clips) - 1``."""
    return np.arange(len(clips), dtype=np.int64)


def labels_in_space(labels: Labels, category_names: Sequence[str], tag_names: Sequence[str]) -> Labels:
    """Return the same clips' labels in another label space, that of a network trained elsewhere."""
    if (labels.category_names, labels.tag_names) == (tuple(category_names), tuple(tag_names)):
        return labels
    categories = [labels.category_names[number] if number >= 0 else None for number in labels.category]
    tags = [
        [labels.tag_names[column] for column in np.flatnonzero(row)] if known else None
        for row, known in zip(labels.tags, labels.tags_known, strict=True)
    ]
    return build_labels(category_names, tag_names, categories, tags)
