"""How good a network is on the validation clips, and which of two epochs is better."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.batching import UNKNOWN_CATEGORY, Batch
from models.config import TrainConfig
from models.heads import category_probabilities, tag_probabilities
from models.losses import total_loss
from models.metrics import mean_average_precision
from models.network import VideoNetwork


@dataclass(frozen=True)
class Validation:
    """The result on the validation clips.

    Attributes:
        loss: Mean over the clips; None without clips.
        category_map: Mean average precision over the categories that occur among the clips, 0 to 1; None when
            no category is known or there is no category head.
        tag_map: The same over the tags.
    """

    loss: float | None
    category_map: float | None
    tag_map: float | None

    @property
    def score(self) -> float | None:
        """Mean of the mean average precisions that are there; None when neither is."""
        parts = [part for part in (self.category_map, self.tag_map) if part is not None]
        return sum(parts) / len(parts) if parts else None

    def rank(self, selection_metric: str) -> tuple[float, ...]:
        """Numbers that compare higher for the better epoch; none when the clips do not tell.

        By `map`, equal scores (a small split saturates at 1) are told apart by the loss.
        """
        if self.loss is None or self.score is None:
            return ()
        return (self.score, -self.loss) if selection_metric == "map" else (-self.loss,)


def validate(network: VideoNetwork, batches: Iterable[Batch], config: TrainConfig, device: torch.device) -> Validation:
    """The result of `network`, which is in evaluation mode, on labelled batches; all None without any."""
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
        category_map=_category_map(categories),
        tag_map=_map_of_occurring(*_join(tags)) if tags else None,
    )


def _category_map(parts: list[tuple[Tensor, Tensor]]) -> float | None:
    if not parts:
        return None
    scores, category = _join(parts)
    known = category != UNKNOWN_CATEGORY
    one_hot = category[known, None] == np.arange(scores.shape[1])
    return _map_of_occurring(scores[known], one_hot)


def _map_of_occurring(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.generic]) -> float | None:
    """Mean average precision over the columns that have a positive; None when none has."""
    occurring = labels.any(axis=0)
    if not occurring.any():
        return None
    return mean_average_precision(scores[:, occurring], labels[:, occurring].astype(bool))


def _join(parts: list[tuple[Tensor, Tensor]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.generic]]:
    scores, labels = zip(*parts, strict=True)
    return torch.cat(scores).numpy(), torch.cat(labels).numpy()
