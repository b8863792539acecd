"""What a model says of single clips, in the order in which a person wants to read it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.data.labels import UNKNOWN_CATEGORY


@dataclass(frozen=True)
class WrongClip:
    """A clip whose predicted category is not its own.

    Attributes:
        row: Its row in the scores.
        true: Number of its category.
        predicted: Number of the predicted category.
        probability: Score of the predicted category.
    """

    row: int
    true: int
    predicted: int
    probability: float


def most_confident_errors(
    scores: npt.NDArray[np.floating], category: npt.NDArray[np.int64], limit: int
) -> list[WrongClip]:
    """Return the clips predicted wrong, highest score of the wrong category first, at most ``limit``.

    Args:
        scores: ``(N, K)`` probabilities.
        category: ``(N,)`` class numbers, -1 where unknown; such a clip is no error.
        limit: Most clips to return.
    """
    if not scores.size:
        return []
    predicted = scores.argmax(axis=1)
    wrong = np.flatnonzero((category != UNKNOWN_CATEGORY) & (predicted != category))
    confidence = scores[wrong, predicted[wrong]]
    return [
        WrongClip(int(row), int(category[row]), int(predicted[row]), float(scores[row, predicted[row]]))
        for row in wrong[np.argsort(-confidence, kind="stable")[:limit]]
    ]


def top_labels(scores: npt.NDArray[np.floating], names: tuple[str, ...], limit: int) -> list[tuple[str, float]]:
    """Return the ``limit`` best labels of one clip with their scores, best first; equal ones by position.

    Args:
        scores: ``(C,)`` scores.
        names: C names.
        limit: Most labels to return.
    """
    order = np.argsort(-scores, kind="stable")[:limit]
    return [(names[index], round(float(scores[index]), 4)) for index in order]
