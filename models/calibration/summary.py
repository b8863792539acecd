"""What ``metrics.json`` tells of a calibration."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from models.calibration.reliability import expected_calibration_error
from models.calibration.schema import Calibration

Scores = npt.NDArray[np.floating]


class MemberRow(TypedDict):
    """What was fitted for one network."""

    category_temperature: float
    tag_temperature: float
    category_tau: float
    notes: list[str]


class BeforeAfter(TypedDict):
    """One number of the uncalibrated and of the calibrated scores; None where there is none."""

    before: float | None
    after: float | None


class CalibrationBlock(TypedDict):
    """The calibration of a network, or of each member of an ensemble, and what it did on the evaluated clips.

    `expected_calibration_error` is of the best category; thresholds stand with the tags, in `per_class`.
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
