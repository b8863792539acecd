"""Rare categories lifted: logits less tau times the log of the category's share in training.

Menon, Jayasumana, Rawat, Jain, Veit, Kumar 2021, "Long-tail learning via logit adjustment", arXiv 2007.07314 (the
post-hoc form). With tau 1 and right probabilities the highest category is the best choice where every category counts
the same, however rare. With any tau above 0 the probabilities are those of a corpus with more of the rare categories.
"""

import numpy as np
import numpy.typing as npt

from models.calibration.temperature import MIN_CLIPS
from models.metrics import macro_f1

Float64 = npt.NDArray[np.float64]

TAUS = (0.25, 0.5, 0.75, 1.0)
NUM_RESAMPLES = 200
NUM_STANDARD_ERRORS = 2.0
"""The macro F1 must grow by more than this many of its own standard errors: the best of four is often luck."""


def lift_rare(logits: Float64, priors: npt.NDArray[np.floating], tau: float) -> Float64:
    """Logits `(N, K)` with rare categories lifted over frequent ones, the most frequent left as it is.

    Args:
        logits: `(N, K)`.
        priors: `(K,)` shares in training. A category of share 0 is not lifted: the network never saw it.
        tau: 0 to 1.
    """
    seen = priors > 0
    if not seen.any():
        return logits
    shares = np.where(seen, priors, priors.max()) / priors.max()
    lifted: Float64 = logits - tau * np.log(shares)
    return lifted


def fit_tau(
    logits: Float64,
    category: npt.NDArray[np.int64],
    priors: npt.NDArray[np.floating],
    generator: np.random.Generator,
) -> tuple[float, str]:
    """The tau of the highest macro F1 on known categories `(N,)`, and why it is 0 where nothing is lifted.

    Of equal ones the smallest. Its gain over tau 0 must be more than twice the gain's standard error, which is the
    standard deviation over `NUM_RESAMPLES` draws of N clips with replacement.
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
