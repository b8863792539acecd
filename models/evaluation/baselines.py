"""Baselines of the network: the majority class, and logistic regression on pooled features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.base.errors import SettingError
from models.calibration.fit import apply_calibration, category_priors, fit_calibration, fit_thresholds
from models.data.labels import Indices, Labels
from models.evaluation.logistic_regression import (
    LogisticModel,
    LogisticSettings,
    Split,
    fit_logistic,
    known_categories,
    known_tags,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.data.sources import FeatureSource

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

NUM_CLIPS_AT_ONCE = 4096  # 49 MB of pooled features at 3,000 a clip


@dataclass(frozen=True)
class BaselineScores:
    """Probabilities in the form of a network's; None for a head without a labelled train clip.

    Attributes:
        category_scores: ``(N, K)``, each row sums to 1.
        tag_scores: ``(N, C)``, each from 0 to 1.
        tag_thresholds: ``(C,)``, from which score on a tag is given; None means 0.5 for all.
    """

    category_scores: Float32 | None
    tag_scores: Float32 | None
    tag_thresholds: Float64 | None = None


def run_baselines(
    source: FeatureSource,
    labels: Labels,
    *,
    train: Indices,
    validation: Indices,
    scored: Indices,
    settings: LogisticSettings,
    calibrated: bool = False,
) -> dict[str, BaselineScores]:
    """Return the scores of every baseline for the clips ``scored``, by the baseline's name.

    Args:
        source: The embeddings of all clips.
        labels: The labels of the same clips.
        train: Positions in ``source`` to fit on.
        validation: Positions to choose the regularisation on.
        scored: Positions to score, N of them.
        settings: How the regression is fitted.
        calibrated: Whether everything that a network's calibration fits on the validation clips is fitted for
            the regression too, and thresholds of the tags for both baselines.

    Raises:
        DataError: The train split is empty, or a feature is not finite.
    """
    model, of_validation = _fit(source, labels, train, validation, settings)
    parts = [
        model.predict(pooled_features(source, scored[start : start + NUM_CLIPS_AT_ONCE]))
        for start in range(0, max(1, len(scored)), NUM_CLIPS_AT_ONCE)
    ]
    known = take(labels, train)
    constant = majority(known, len(scored))
    regression = BaselineScores(_join([category for category, _ in parts]), _join([tags for _, tags in parts]))
    if calibrated:
        regression = _calibrate(regression, model.predict(of_validation.features), known, of_validation.labels)
        constant = _with_thresholds(constant, majority(known, len(of_validation.labels)), of_validation.labels)
    return {"majority": constant, "logistic_regression": regression}


def majority(train: Labels, num_clips: int) -> BaselineScores:
    """Return, for each of ``num_clips`` clips, each category's and tag's fraction of the labelled train clips.

    The predicted category is the most frequent one, and the ranking of the clips is at chance level.
    """
    _, categories = known_categories(train)
    _, tags = known_tags(train)
    return BaselineScores(_repeat_mean(categories, num_clips), _repeat_mean(tags, num_clips))


def take(labels: Labels, indices: Indices) -> Labels:
    """Return the labels of the clips at ``indices``, in that order."""
    return Labels(
        labels.category_names,
        labels.tag_names,
        labels.category[indices],
        labels.tags[indices],
        labels.tags_known[indices],
    )


def _fit(
    source: FeatureSource, labels: Labels, train: Indices, validation: Indices, settings: LogisticSettings
) -> tuple[LogisticModel, Split]:
    """Return the regression fitted on subsampled splits, and the validation one of them."""
    generator = np.random.default_rng(settings.seed)
    chosen = [subsample(indices, settings.max_clips, generator) for indices in (train, validation)]
    splits = [Split(pooled_features(source, indices), take(labels, indices)) for indices in chosen]
    return fit_logistic(splits[0], splits[1], settings), splits[1]


def _calibrate(
    scores: BaselineScores,
    of_validation: tuple[Float32 | None, Float32 | None],
    train: Labels,
    validation: Labels,
) -> BaselineScores:
    """Return the scores calibrated as a network's are, on scores of the validation clips.

    Args:
        scores: Of the clips to score.
        of_validation: Category ``(M, K)`` and tag ``(M, C)`` scores of the validation clips.
        train: Labels of the train clips, for the priors of the categories.
        validation: Labels of the validation clips.
    """
    category, tags = (_columns(part, len(validation)) for part in of_validation)
    calibration = fit_calibration(
        category,
        validation.category,
        tags,
        validation.tags[:, : tags.shape[1]],  # none where the head is missing
        validation.tags_known,
        category_priors(train.category, len(train.category_names))[: category.shape[1]],
    )
    corrected = apply_calibration(
        calibration, *(_columns(part, 0) for part in (scores.category_scores, scores.tag_scores))
    )
    return BaselineScores(
        None if scores.category_scores is None else corrected[0],
        None if scores.tag_scores is None else corrected[1],
        None if scores.tag_scores is None else np.array(calibration.tag_thresholds),
    )


def _with_thresholds(scores: BaselineScores, of_validation: BaselineScores, validation: Labels) -> BaselineScores:
    """Return the scores with a threshold for each tag, fitted on scores of the validation clips."""
    if of_validation.tag_scores is None:
        return scores
    rows, tags = known_tags(validation)
    thresholds, _ = fit_thresholds(of_validation.tag_scores[rows], tags)
    return replace(scores, tag_thresholds=thresholds)


def _repeat_mean(labels: npt.NDArray[np.bool_], num_clips: int) -> Float32 | None:
    """Return the columns' means of ``(M, C)`` labels as ``(num_clips, C)``; None without labels."""
    return np.tile(labels.mean(axis=0, dtype=np.float32), (num_clips, 1)) if labels.size else None


def _columns(scores: Float32 | None, num_clips: int) -> Float32:
    """Return the scores of one head, ``(num_clips, 0)`` where it is missing."""
    return np.zeros((num_clips, 0), np.float32) if scores is None else scores


def _join(parts: Sequence[Float32 | None]) -> Float32 | None:
    """Return the parts of one head below each other; a head is missing in all parts or in none."""
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else None


def pooled_features(source: FeatureSource, indices: npt.NDArray[np.integer]) -> Float32:
    """Return ``(N, D)`` features of the clips at ``indices``: each modality's mean over its steps, in a row.

    D is the sum of the modalities' widths, in the order of their names, plus one presence flag per modality
    at the end: 1.0 where the clip has it. A missing modality (T = 0) is zeros with the flag 0.0. ``(0, D)``
    for no clips.
    """
    modalities = sorted(source.modality_dims)
    widths = [source.modality_dims[modality] for modality in modalities]
    starts = np.concatenate([[0], np.cumsum(widths)]).astype(int)
    pooled = np.zeros((len(indices), starts[-1] + len(modalities)), dtype=np.float32)
    for row, index in enumerate(indices):
        clip = source[int(index)]
        for position, modality in enumerate(modalities):
            steps = clip[modality]  # (T, D)
            if len(steps):
                pooled[row, starts[position] : starts[position + 1]] = steps.mean(axis=0, dtype=np.float32)
                pooled[row, starts[-1] + position] = 1.0
    return pooled


def subsample(indices: npt.NDArray[np.integer], limit: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return at most ``limit`` of the ``indices``, drawn evenly and in their old order; all where they are fewer.

    Drawn, because every k-th clip would miss whole categories of a corpus that lists them in turn.

    Raises:
        SettingError: ``limit`` is below 1.
    """
    if limit < 1:
        raise SettingError(f"the limit of clips is {limit}: it must be 1 or more")
    if len(indices) <= limit:
        return indices.astype(np.int64)
    positions = np.sort(generator.choice(len(indices), size=limit, replace=False))
    return indices[positions].astype(np.int64)
