"""Corrections of logits: a temperature for each head, and a lift of rare categories.

Temperature: all logits of a head divided by one number, the one that makes the labels of clips that the network was
not trained on most likely. The order of a clip's categories, and of all tags of all clips, stays as it is. Guo, Pleiss,
Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2.

Lift: logits less tau times the log of the category's fraction of the training clips. Menon, Jayasumana, Rawat, Jain,
Veit, Kumar 2021, "Long-tail learning via logit adjustment", arXiv 2007.07314 (the post-hoc form). With tau 1 and right
probabilities the highest category is the best choice where every category counts the same, however rare. With any tau
above 0 the probabilities are those of a corpus with more of the rare categories.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from models.metrics.arrays import macro_f1

if TYPE_CHECKING:
    from collections.abc import Callable

Scores = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

# With fewer labelled clips nothing is fitted: one clip more or less would decide.
MIN_CLIPS = 20
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0
TAUS = (0.25, 0.5, 0.75, 1.0)
NUM_RESAMPLES = 200
# The macro F1 must grow by more than this many of its own standard errors: the best of four is often luck.
NUM_STANDARD_ERRORS = 2.0

# Logits are made of float32 probabilities: these are the ones nearest to 0 and 1.
_SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
_LARGEST = 1 - 2.0**-25
# In log temperature: how near to the optimum the search stops, and how near to a bound an optimum counts as there.
_TOLERANCE = 1e-4
_AT_BOUND = 1e-2
# In nats a label: a smaller gain is rounding.
_MIN_GAIN = 1e-6


def category_logits(scores: Scores) -> Float64:
    """Return the logits ``(N, K)`` whose softmax gives the probabilities ``(N, K)``."""
    return np.log(np.maximum(scores.astype(np.float64), _SMALLEST))


def tag_logits(scores: Scores) -> Float64:
    """Return the logits ``(N, C)`` whose sigmoid gives the probabilities ``(N, C)``."""
    clipped = np.clip(scores.astype(np.float64), _SMALLEST, _LARGEST)
    return np.log(clipped) - np.log1p(-clipped)


def category_loss(logits: Float64, category: npt.NDArray[np.integer]) -> float:
    """Return the mean negative log likelihood of known categories ``(N,)`` under the logits ``(N, K)``; N >= 1."""
    log_probabilities = log_softmax(logits, axis=1)
    return -float(log_probabilities[np.arange(len(category)), category].mean())


def tag_loss(logits: Float64, tags: npt.NDArray[np.bool_]) -> float:
    """Return the mean negative log likelihood of each of the tags ``(N, C)`` under the logits ``(N, C)``; N, C >= 1."""
    return float(np.logaddexp(0, np.where(tags, -logits, logits)).mean())


def fit_category_temperature(logits: Float64, category: npt.NDArray[np.integer]) -> tuple[float, str]:
    """Return the temperature of logits ``(N, K)`` for known categories ``(N,)``; 1 with a reason if none was fitted."""
    if len(category) < MIN_CLIPS:
        return 1.0, f"{len(category)} validation clips have a category, {MIN_CLIPS} are needed"
    return _fit_temperature(lambda temperature: category_loss(logits / temperature, category))


def fit_tag_temperature(logits: Float64, tags: npt.NDArray[np.bool_]) -> tuple[float, str]:
    """Return the temperature of logits ``(N, C)`` for known tags ``(N, C)``; 1 with a reason where none was fitted."""
    if len(tags) < MIN_CLIPS:
        return 1.0, f"the tags of {len(tags)} validation clips are known, {MIN_CLIPS} are needed"
    return _fit_temperature(lambda temperature: tag_loss(logits / temperature, tags))


def _fit_temperature(loss: Callable[[float], float]) -> tuple[float, str]:
    """Return the temperature of the lowest loss and ``""``, or 1 and why no other is taken."""
    # The loss is convex in 1 / temperature: there is one minimum.
    low, high = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    found = minimize_scalar(
        lambda position: loss(math.exp(position)), bounds=(low, high), method="bounded", options={"xatol": _TOLERANCE}
    )
    temperature = math.exp(found.x)
    if loss(temperature) > loss(1.0) - _MIN_GAIN:
        return 1.0, "no other temperature makes the labels more likely"
    if min(found.x - low, high - found.x) < _AT_BOUND:
        bound = LOWEST_TEMPERATURE if found.x < 0 else HIGHEST_TEMPERATURE
        return 1.0, f"the labels become ever more likely up to a temperature of {bound:g}"
    return temperature, ""


def lift_rare(logits: Float64, priors: npt.NDArray[np.floating], tau: float) -> Float64:
    """Return the logits ``(N, K)`` with rare categories lifted over frequent ones, the most frequent unchanged.

    Args:
        logits: ``(N, K)``.
        priors: ``(K,)`` fractions of the training clips. A category of fraction 0 is not lifted: it was not trained.
        tau: 0 to 1.
    """
    is_trained = priors > 0
    if not is_trained.any():
        return logits
    relative = np.where(is_trained, priors, priors.max()) / priors.max()
    lifted: Float64 = logits - tau * np.log(relative)
    return lifted


def fit_tau(
    logits: Float64,
    category: npt.NDArray[np.int64],
    priors: npt.NDArray[np.floating],
    generator: np.random.Generator,
) -> tuple[float, str]:
    """Return the tau of the highest macro F1 on known categories ``(N,)``, and why it is 0 where nothing is lifted.

    Of equal ones it is the smallest. Its gain over tau 0 must be more than twice the gain's standard error: the
    standard deviation over ``NUM_RESAMPLES`` draws of N clips with replacement.
    """
    if len(category) < MIN_CLIPS:
        return 0.0, f"{len(category)} validation clips have a category, {MIN_CLIPS} are needed"
    num_classes = logits.shape[1]
    plain = logits.argmax(axis=1)
    predicted = {tau: lift_rare(logits, priors, tau).argmax(axis=1) for tau in TAUS}
    scores = {tau: macro_f1(category, predicted[tau], num_classes) for tau in TAUS}
    best = max(TAUS, key=lambda tau: scores[tau])
    gain = scores[best] - macro_f1(category, plain, num_classes)
    gains = []
    for _ in range(NUM_RESAMPLES):
        rows = generator.integers(0, len(category), len(category))
        drawn = category[rows]
        gains.append(macro_f1(drawn, predicted[best][rows], num_classes) - macro_f1(drawn, plain[rows], num_classes))
    if gain <= 0 or gain <= NUM_STANDARD_ERRORS * float(np.std(gains, ddof=1)):
        return 0.0, "the macro F1 does not grow by more than chance"
    return best, ""
