"""What the network is measured against: the majority class, and logistic regression on pooled features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.batching import ClipSource, Labels
from models.logistic import LogisticModel, LogisticSettings, Split, fit_logistic, known_categories, known_tags
from models.pooling import pool, thin_out

Float32 = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

NUM_CLIPS_AT_ONCE = 4096  # 49 MB of pooled features at 3,000 a clip


@dataclass(frozen=True)
class BaselineScores:
    """Probabilities as the network would give them; None for a head without a labelled train clip.

    Attributes:
        category_scores: ``(N, K)``, each row sums to 1.
        tag_scores: ``(N, C)``, each from 0 to 1.
        notes: What was counted and chosen on the way, by name.
    """

    category_scores: Float32 | None
    tag_scores: Float32 | None
    notes: Mapping[str, float] = field(default_factory=dict)


def run_baselines(
    source: ClipSource,
    labels: Labels,
    *,
    train: Indices,
    validation: Indices,
    scored: Indices,
    settings: LogisticSettings,
) -> dict[str, BaselineScores]:
    """Return the scores of every baseline for the clips `scored`, by the baseline's name.

    Args:
        source: The embeddings of all clips.
        labels: The labels of the same clips.
        train: Positions in `source` to fit on.
        validation: Positions to choose the regularisation on.
        scored: Positions to score, N of them.
        settings: How the regression is fitted.

    Raises:
        DataError: The train split is empty, or a feature is not finite.
    """
    model, notes = _fit(source, labels, train, validation, settings)
    parts = [
        model.predict(pool(source, scored[start : start + NUM_CLIPS_AT_ONCE]))
        for start in range(0, max(1, len(scored)), NUM_CLIPS_AT_ONCE)
    ]
    return {
        "majority": majority(take(labels, train), len(scored)),
        "logistic_regression": BaselineScores(
            _join([category for category, _ in parts]), _join([tags for _, tags in parts]), notes
        ),
    }


def majority(train: Labels, num_clips: int) -> BaselineScores:
    """Return, for each of `num_clips` clips, each category's and tag's share of the labelled train clips.

    So the predicted category is the most frequent one, and the ranking of the clips is at chance level.
    """
    _, categories = known_categories(train)
    _, tags = known_tags(train)
    return BaselineScores(_repeat_shares(categories, num_clips), _repeat_shares(tags, num_clips))


def take(labels: Labels, indices: Indices) -> Labels:
    """Return the labels of the clips at `indices`, in that order."""
    return Labels(
        labels.category_names,
        labels.tag_names,
        labels.category[indices],
        labels.tags[indices],
        labels.tags_known[indices],
    )


def _fit(
    source: ClipSource, labels: Labels, train: Indices, validation: Indices, settings: LogisticSettings
) -> tuple[LogisticModel, dict[str, float]]:
    """Return the regression fitted on thinned splits, and what was counted and chosen."""
    generator = np.random.default_rng(settings.seed)
    chosen = [thin_out(indices, settings.max_clips, generator) for indices in (train, validation)]
    splits = [Split(pool(source, indices), take(labels, indices)) for indices in chosen]
    model = fit_logistic(splits[0], splits[1], settings)
    notes: dict[str, float] = {"num_train_clips": len(chosen[0]), "num_validation_clips": len(chosen[1])}
    for name, head in (("category", model.category), ("tags", model.tags)):
        if head is not None:
            notes[f"{name}_inverse_regularisation"] = head.inverse_regularisation
            notes[f"{name}_num_not_converged"] = head.num_not_converged
    return model, notes


def _repeat_shares(labels: npt.NDArray[np.bool_], num_clips: int) -> Float32 | None:
    """Return the columns' means of ``(M, C)`` labels as ``(num_clips, C)``; None without labels."""
    return np.tile(labels.mean(axis=0, dtype=np.float32), (num_clips, 1)) if labels.size else None


def _join(parts: Sequence[Float32 | None]) -> Float32 | None:
    """Return the parts of one head below each other; a head is missing in all parts or in none."""
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else None
