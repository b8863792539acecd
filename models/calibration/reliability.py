"""How far confidence and accuracy are apart."""

import numpy as np
import numpy.typing as npt

from models.data.labels import UNKNOWN_CATEGORY

NUM_BINS = 15


def expected_calibration_error(
    scores: npt.NDArray[np.floating], category: npt.NDArray[np.integer], num_bins: int = NUM_BINS
) -> float | None:
    """The expected calibration error of the best category, 0 to 1; None without a clip of known category.

    Clips are binned by the probability of their best category, in `num_bins` bins of equal width, each with its
    upper end; the result is the mean of |accuracy - mean probability| over the bins, weighed by their clips. Guo et
    al. 2017, arXiv 1706.04599, section 2, equation 3.

    Args:
        scores: `(N, K)` probabilities.
        category: `(N,)` numbers, -1 where unknown.
        num_bins: At least 1.
    """
    known = category != UNKNOWN_CATEGORY
    if not known.any() or not scores.shape[1]:
        return None
    confidence = scores[known].max(axis=1).astype(np.float64)
    is_right = scores[known].argmax(axis=1) == category[known]
    bins = np.clip(np.ceil(confidence * num_bins) - 1, 0, num_bins - 1).astype(np.int64)
    # Per bin, the clips times the difference of the two means is the difference of the two sums.
    differences = np.bincount(bins, weights=is_right - confidence, minlength=num_bins)
    return float(np.abs(differences).sum() / len(confidence))
