"""Evaluation of arrays, for tests that have no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.data.labels import Labels
from models.evaluation.baselines import BaselineScores
from models.evaluation.evaluate import Evaluation, evaluate

if TYPE_CHECKING:
    import numpy.typing as npt


def evaluate_arrays(
    category_scores: npt.NDArray[np.floating] | None,
    category: npt.NDArray[np.int64],
    tag_scores: npt.NDArray[np.floating] | None,
    tags: npt.NDArray[np.bool_],
    tags_known: npt.NDArray[np.bool_],
    *,
    category_names: tuple[str, ...],
    tag_names: tuple[str, ...],
    tag_thresholds: npt.NDArray[np.float64] | None = None,
) -> Evaluation:
    """The evaluation of scores of all clips."""
    scores = [None if part is None else part.astype(np.float32) for part in (category_scores, tag_scores)]
    labels = Labels(category_names, tag_names, category, tags, tags_known)
    return evaluate(BaselineScores(scores[0], scores[1], tag_thresholds), labels, np.arange(len(category)))
