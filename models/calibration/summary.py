"""The calibration block of ``metrics.json``, and the calibration error in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np
import numpy.typing as npt

from models.data.labels import UNKNOWN_CATEGORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.calibration.schema import Calibration

Scores = npt.NDArray[np.floating]

NUM_BINS = 15


class MemberRow(TypedDict):
    """The calibration of one network, less priors and thresholds."""

    category_temperature: float
    tag_temperature: float
    category_tau: float
    notes: list[str]


class BeforeAfter(TypedDict):
    """One number of the uncalibrated and of the calibrated scores; None without a clip of known category."""

    before: float | None
    after: float | None


class CalibrationBlock(TypedDict):
    """The calibration of a network, or of each member of an ensemble, and its effect on the evaluated clips.

    ``expected_calibration_error`` is of the best category; the thresholds of the tags are in ``per_class``.
    """

    members: list[MemberRow]
    expected_calibration_error: BeforeAfter


def calibration_block(
    calibrations: Sequence[Calibration], *, uncalibrated: Scores, calibrated: Scores, category: npt.NDArray[np.integer]
) -> CalibrationBlock:
    """Return the temperatures of every member, and the calibration error before and after.

    Args:
        calibrations: One a member.
        uncalibrated: ``(N, K)`` scores of the category.
        calibrated: ``(N, K)`` scores of the same clips.
        category: ``(N,)`` class index, -1 where the clip has none.
    """
    return CalibrationBlock(
        members=[
            MemberRow(
                category_temperature=calibration.category_temperature,
                tag_temperature=calibration.tag_temperature,
                category_tau=calibration.category_tau,
                notes=list(calibration.notes),
            )
            for calibration in calibrations
        ],
        expected_calibration_error=BeforeAfter(
            before=expected_calibration_error(uncalibrated, category),
            after=expected_calibration_error(calibrated, category),
        ),
    )


def expected_calibration_error(
    scores: npt.NDArray[np.floating], category: npt.NDArray[np.integer], num_bins: int = NUM_BINS
) -> float | None:
    """Return the expected calibration error of the best category, 0 to 1; None without a clip of known category.

    Clips are binned by the probability of their best category, in ``num_bins`` bins of equal width, each with its
    upper end; the result is the mean of |accuracy - mean probability| over the bins, weighted by their clips. Guo et
    al. 2017, arXiv 1706.04599, section 2, equation 3.

    Args:
        scores: ``(N, K)`` probabilities.
        category: ``(N,)`` numbers, -1 where unknown.
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
