"""Temperature scaling: all logits of a head divided by one number.

Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2. The
number is the one that makes the labels of clips, which the network was not trained on, most likely. The order of a
clip's categories, and of all tags of all clips, stays as it is.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Scores = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

MIN_CLIPS = 20
"""With fewer labelled clips nothing is fitted: one clip more or less would decide."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0

# Logits are made of float32 probabilities: nearer to 0 or 1 there are none but 0 and 1 themselves.
_SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
_LARGEST = 1 - 2.0**-25
# In log temperature. The search stops this near to the optimum, which at a bound is never closer than that.
_TOLERANCE = 1e-4
_AT_BOUND = 1e-2
# Nats a label: what lies below is rounding.
_MIN_GAIN = 1e-6


def category_logits(scores: Scores) -> Float64:
    """Logits `(N, K)` whose softmax gives the probabilities `(N, K)`."""
    return np.log(np.maximum(scores.astype(np.float64), _SMALLEST))


def tag_logits(scores: Scores) -> Float64:
    """Logits `(N, C)` whose sigmoid gives the probabilities `(N, C)`."""
    clipped = np.clip(scores.astype(np.float64), _SMALLEST, _LARGEST)
    return np.log(clipped) - np.log1p(-clipped)


def category_loss(logits: Float64, category: npt.NDArray[np.integer]) -> float:
    """Mean negative log likelihood of the categories `(N,)`, all known, under the logits `(N, K)`; N >= 1."""
    log_probabilities = log_softmax(logits, axis=1)
    return -float(log_probabilities[np.arange(len(category)), category].mean())


def tag_loss(logits: Float64, tags: npt.NDArray[np.bool_]) -> float:
    """Mean negative log likelihood of the tags `(N, C)`, each by itself, under the logits `(N, C)`; N, C >= 1."""
    return float(np.logaddexp(0, np.where(tags, -logits, logits)).mean())


def fit_category_temperature(logits: Float64, category: npt.NDArray[np.integer]) -> tuple[float, str]:
    """The temperature of logits `(N, K)` for known categories `(N,)`, and why it is 1 where none was fitted."""
    if len(category) < MIN_CLIPS:
        return 1.0, f"{len(category)} validation clips have a category, {MIN_CLIPS} are needed"
    return _fit(lambda temperature: category_loss(logits / temperature, category))


def fit_tag_temperature(logits: Float64, tags: npt.NDArray[np.bool_]) -> tuple[float, str]:
    """The temperature of logits `(N, C)` for known tags `(N, C)`, and why it is 1 where none was fitted."""
    if len(tags) < MIN_CLIPS:
        return 1.0, f"the tags of {len(tags)} validation clips are known, {MIN_CLIPS} are needed"
    return _fit(lambda temperature: tag_loss(logits / temperature, tags))


def _fit(loss: Callable[[float], float]) -> tuple[float, str]:
    """The temperature of the lowest loss, which is convex in 1 / temperature: there is one valley."""
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
