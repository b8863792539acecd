"""Metrics of a network on the validation clips, and the order of two epochs by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from models.calibration.schema import TAG_THRESHOLD
from models.data.labels import UNKNOWN_CATEGORY
from models.heads.logits import category_probabilities, tag_probabilities
from models.losses.total_loss import total_loss
from models.metrics import METRICS
from models.metrics.head_scores import HeadScores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.config.training import TrainConfig
    from models.data.batching import Batch
    from models.metrics.metric import Head
    from models.network.network import VideoNetwork


@dataclass(frozen=True)
class Validation:
    """The result on the validation clips.

    Attributes:
        loss: Mean over the clips; None without clips.
        metrics: Name for ``selection_metric`` -> value, 0 to 1; none of a head that is missing, or whose labels are
            not known of any clip.
    """

    loss: float | None
    metrics: Mapping[str, float]

    @property
    def mean_ap(self) -> float | None:
        """Return the mean of the mean average precisions of the heads that were measured; None when neither was."""
        found = [self.metrics[name] for name in ("category_map", "tag_map") if name in self.metrics]
        return sum(found) / len(found) if found else None

    def rank(self, selection_metric: str) -> tuple[float, ...]:
        """Return numbers that compare higher for the better epoch; none where nothing was measured.

        The loss decides between equal values: a small split saturates at 1. ``map`` replaces a metric of a head that
        was not measured.
        """
        if self.loss is None or self.mean_ap is None:
            return ()
        if selection_metric == "loss":
            return (-self.loss,)
        return (self.metrics.get(selection_metric, self.mean_ap), -self.loss)


def validate(network: VideoNetwork, batches: Iterable[Batch], config: TrainConfig, device: torch.device) -> Validation:
    """Return the result of ``network``, which is in evaluation mode, on labelled batches."""
    loss_sum, num_clips = 0.0, 0
    categories: list[tuple[Tensor, Tensor]] = []
    tags: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for batch in batches:
            outputs, labels = network(batch.to(device)), batch.labels
            if labels is None:
                continue
            size = len(labels.category)
            loss_sum += float(total_loss(outputs, labels.to(device), config)) * size
            num_clips += size
            if outputs.category_logits is not None:
                known = labels.category != UNKNOWN_CATEGORY
                categories.append(
                    (category_probabilities(outputs.category_logits).cpu()[known], labels.category[known])
                )
            if outputs.tag_logits is not None:
                known = labels.tags_known
                tags.append((tag_probabilities(outputs.tag_logits).cpu()[known], labels.tags[known]))
    return Validation(loss_sum / num_clips if num_clips else None, _metrics(_heads(categories, tags)))


def _heads(categories: list[tuple[Tensor, Tensor]], tags: list[tuple[Tensor, Tensor]]) -> dict[Head, HeadScores]:
    """Return the heads with a label, each with the scores and labels of all batches."""
    found: dict[Head, HeadScores] = {}
    if categories:
        scores, category = (torch.cat(part).numpy() for part in zip(*categories, strict=True))
        if len(category):
            found["category"] = HeadScores.of_category(scores, category.astype(np.int64))
    if tags:
        scores, labels = (torch.cat(part).numpy() for part in zip(*tags, strict=True))
        if labels.any():
            found["tags"] = HeadScores.of_tags(scores, labels.astype(np.bool_), TAG_THRESHOLD)
    return found


def _metrics(heads: Mapping[Head, HeadScores]) -> dict[str, float]:
    return {
        metric.selection_name: heads[metric.head].value_of(metric)
        for metric in METRICS
        if metric.selection_name and metric.head in heads
    }
