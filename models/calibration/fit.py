"""A calibration from the scores and labels of the validation clips, and its use."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from features.base.errors import DataError
from models.calibration.rare import fit_tau, lift_rare
from models.calibration.schema import Calibration
from models.calibration.temperature import (
    category_logits,
    fit_category_temperature,
    fit_tag_temperature,
    tag_logits,
)
from models.calibration.thresholds import fit_thresholds
from models.data.labels import UNKNOWN_CATEGORY

Scores = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


def fit(
    category_scores: Scores,
    category: Int64,
    tag_scores: Scores,
    tags: BoolArray,
    tags_known: BoolArray,
    priors: Float64,
    *,
    seed: int = 0,
) -> Calibration:
    """The calibration of uncalibrated probabilities of clips that were not trained on.

    What cannot be fitted stays as it is, and `notes` says why.

    Args:
        category_scores: `(N, K)` probabilities; K is 0 without categories.
        category: `(N,)` numbers, -1 where unknown.
        tag_scores: `(N, C)` probabilities; C is 0 without tags.
        tags: `(N, C)`.
        tags_known: `(N,)`; the tags of a clip with False are ignored.
        priors: `(K,)` shares of the categories among the training clips, see `category_shares`.
        seed: Of the draws that tell a gain from chance.

    Raises:
        DataError: The arrays do not fit each other.
    """
    num_clips = len(category)
    _check_shape("category scores", category_scores.shape, (num_clips, len(priors)))
    _check_shape("tag scores", tag_scores.shape, (num_clips, tags.shape[1]))
    _check_shape("tags", tags.shape, (len(tags_known), tag_scores.shape[1]))
    known = category != UNKNOWN_CATEGORY
    generator = np.random.default_rng(seed)
    temperature, tau, notes = _fit_category(category_scores[known], category[known], priors, generator)
    tag_temperature, thresholds, tag_notes = _fit_tags(tag_scores[tags_known], tags[tags_known])
    return Calibration(
        category_temperature=temperature,
        tag_temperature=tag_temperature,
        category_tau=tau,
        category_priors=tuple(priors.tolist()),
        tag_thresholds=tuple(thresholds.tolist()),
        notes=(*notes, *tag_notes),
    )


def apply(calibration: Calibration, category_scores: Scores, tag_scores: Scores) -> tuple[Float32, Float32]:
    """The calibrated probabilities `(N, K)`, each row adding up to 1, and `(N, C)`.

    A head that nothing was fitted for keeps its scores to the last bit. Scores that come to lie closer together
    than float32 can tell become equal.

    Args:
        calibration: Of the same categories and tags.
        category_scores: `(N, K)` probabilities.
        tag_scores: `(N, C)` probabilities.

    Raises:
        DataError: The calibration is of another number of categories or tags.
    """
    _check_shape("category scores", category_scores.shape[1:], (len(calibration.category_priors),))
    _check_shape("tag scores", tag_scores.shape[1:], (len(calibration.tag_thresholds),))
    category = category_scores
    if (calibration.category_temperature, calibration.category_tau) != (1.0, 0.0) and category.size:
        logits = category_logits(category_scores) / calibration.category_temperature
        category = softmax(lift_rare(logits, np.array(calibration.category_priors), calibration.category_tau), axis=1)
    return category.astype(np.float32), _scale_tags(tag_scores, calibration.tag_temperature)


def category_shares(category: Int64, num_categories: int) -> Float64:
    """Share of each category among the clips whose category is known, `(K,)`; zeros where there are none.

    Args:
        category: `(N,)` numbers, -1 where unknown.
        num_categories: K.
    """
    counts = np.bincount(category[category != UNKNOWN_CATEGORY], minlength=num_categories)
    shares: Float64 = counts / max(1, counts.sum())
    return shares


def _fit_category(
    scores: Scores, category: Int64, priors: Float64, generator: np.random.Generator
) -> tuple[float, float, list[str]]:
    """Temperature, tau and notes of `(M, K)` scores of clips whose category is known."""
    if not len(priors):
        return 1.0, 0.0, []
    logits = category_logits(scores)
    temperature, why_none = fit_category_temperature(logits, category)
    tau, why_unlifted = fit_tau(logits / temperature, category, priors, generator)
    notes = {"category temperature 1": why_none, "rare categories not lifted": why_unlifted}
    return temperature, tau, [f"{what}: {why}" for what, why in notes.items() if why]


def _fit_tags(scores: Scores, tags: BoolArray) -> tuple[float, Float64, list[str]]:
    """Temperature, thresholds and notes of `(M, C)` scores of clips whose tags are known."""
    if not tags.shape[1]:
        return 1.0, np.zeros(0), []
    temperature, why_none = fit_tag_temperature(tag_logits(scores), tags)
    # On the very numbers that will be compared with the thresholds.
    thresholds, notes = fit_thresholds(_scale_tags(scores, temperature), tags)
    return temperature, thresholds, [*([f"tag temperature 1: {why_none}"] if why_none else []), *notes]


def _scale_tags(scores: Scores, temperature: float) -> Float32:
    scaled = scores if temperature == 1.0 else expit(tag_logits(scores) / temperature)
    return scaled.astype(np.float32)


def _check_shape(what: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise DataError(f"{what} have shape {shape}: give {expected}, one row a clip and one column a class")
