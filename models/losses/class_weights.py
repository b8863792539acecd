"""Weights of the classes, larger for rare ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.data.labels import UNKNOWN_CATEGORY, Indices, Labels


@dataclass(frozen=True)
class ClassWeights:
    """Factors of the losses of the classes.

    Attributes:
        category: ``(K,)`` float32; the weight of a clip of that category.
        tag_positive: ``(C,)`` float32; the weight of a tag where a clip has it. Where a clip lacks it, it is 1.
    """

    category: Tensor
    tag_positive: Tensor

    def to(self, device: torch.device) -> ClassWeights:
        """Return the weights on ``device``."""
        return ClassWeights(self.category.to(device), self.tag_positive.to(device))


def class_weights(labels: Labels, train_indices: Indices, power: float) -> ClassWeights:
    """Return the weights for some training clips.

    A category weighs fraction^-power, scaled so that the labelled training clips weigh 1 on average. A tag weighs
    (negatives / positives)^power. A category that no training clip has weighs 1, and so does a tag that none,
    or each, of them has.

    Args:
        labels: Of all clips.
        train_indices: ``(n,)`` positions of the training clips.
        power: At least 0; 0 gives ones.
    """
    category = labels.category[train_indices]
    tags = labels.tags[train_indices][labels.tags_known[train_indices]]
    return ClassWeights(
        torch.from_numpy(_category_weights(category, len(labels.category_names), power)),
        torch.from_numpy(_tag_weights(tags, power)),
    )


def _category_weights(category: npt.NDArray[np.int64], num_categories: int, power: float) -> npt.NDArray[np.float32]:
    counts = np.bincount(category[category != UNKNOWN_CATEGORY], minlength=num_categories)
    occurring = counts > 0
    weights = np.ones(num_categories)
    fraction = counts[occurring] / max(1, counts.sum())
    weights[occurring] = fraction**-power
    weights[occurring] /= (fraction * weights[occurring]).sum()
    return weights.astype(np.float32)


def _tag_weights(tags: npt.NDArray[np.bool_], power: float) -> npt.NDArray[np.float32]:
    positives = tags.sum(axis=0)
    negatives = len(tags) - positives
    has_both = (positives > 0) & (negatives > 0)
    ratio = np.divide(negatives, positives, out=np.ones(tags.shape[1]), where=has_both)
    weights: npt.NDArray[np.float32] = (ratio**power).astype(np.float32)
    return weights
