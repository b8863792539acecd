"""How good a network is on the validation clips, and which of two epochs is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.data.labels import UNKNOWN_CATEGORY
from models.heads.logits import category_probabilities, tag_probabilities
from models.losses.total_loss import total_loss
from models.metrics import accuracy, global_average_precision, macro_f1, mean_average_precision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.config.training import TrainConfig
    from models.data.batching import Batch
    from models.network.network import VideoNetwork

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Validation:
    """The result on the validation clips.

    Attributes:
        loss: Mean over the clips; None without clips.
        category: Name of a metric -> its value, 0 to 1, over the categories that occur among the clips; empty
            when no category is known or there is no category head.
        tag: The same over the tags.
    """

    loss: float | None
    category: dict[str, float]
    tag: dict[str, float]

    @property
    def score(self) -> float | None:
        """Mean of the mean average precisions that are there; None when neither is."""
        parts = [block["map"] for block in (self.category, self.tag) if block]
        return sum(parts) / len(parts) if parts else None

    def blocks(self) -> tuple[tuple[str, dict[str, float]], ...]:
        """Name of each head and its metrics."""
        return (("category", self.category), ("tag", self.tag))

    def rank(self, selection_metric: str) -> tuple[float, ...]:
        """Numbers that compare higher for the better epoch; none when the clips do not tell.

        Equal values (a small split saturates at 1) are told apart by the loss. Where the metric is of a head
        that the clips tell nothing of, ``map`` takes its place.
        """
        if self.loss is None or self.score is None:
            return ()
        if selection_metric == "loss":
            return (-self.loss,)
        head, _, name = selection_metric.partition("_")
        value = {"category": self.category, "tag": self.tag}.get(head, {}).get(name, self.score)
        return (value, -self.loss)


def validate(network: VideoNetwork, batches: Iterable[Batch], config: TrainConfig, device: torch.device) -> Validation:
    """The result of ``network``, which is in evaluation mode, on labelled batches; nothing without any."""
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
                categories.append((category_probabilities(outputs.category_logits).cpu(), labels.category))
            if outputs.tag_logits is not None:
                known = labels.tags_known
                tags.append((tag_probabilities(outputs.tag_logits).cpu()[known], labels.tags[known]))
    return Validation(
        loss=loss_sum / num_clips if num_clips else None,
        category=_category_block(categories),
        tag=_tag_block(tags),
    )


def _category_block(parts: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    if not parts:
        return {}
    scores, category = _join(parts)
    known = category != UNKNOWN_CATEGORY
    scores, true = scores[known], category[known].astype(np.int64)
    if not len(true):
        return {}
    one_hot = true[:, None] == np.arange(scores.shape[1])
    predicted = scores.argmax(axis=1)
    return {
        "accuracy": accuracy(true, predicted, scores.shape[1]),
        "macro_f1": macro_f1(true, predicted, scores.shape[1]),
        **_ranking_metrics(scores, one_hot),
    }


def _tag_block(parts: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    if not parts:
        return {}
    scores, tags = _join(parts)
    return _ranking_metrics(scores, tags.astype(bool)) if tags.any() else {}


def _ranking_metrics(scores: Float32, labels: Bool) -> dict[str, float]:
    """Over the columns that have a positive."""
    occurring = labels.any(axis=0)
    return {
        "map": mean_average_precision(scores[:, occurring], labels[:, occurring]),
        "gap": global_average_precision(scores, labels),
    }


def _join(parts: list[tuple[Tensor, Tensor]]) -> tuple[Float32, npt.NDArray[np.generic]]:
    scores, labels = zip(*parts, strict=True)
    return torch.cat(scores).numpy(), torch.cat(labels).numpy()
