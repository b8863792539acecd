"""What was fitted on the validation clips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.base.errors import DataError

TAG_THRESHOLD = 0.5
"""A tag without a fitted threshold is given from this probability on."""


@dataclass(frozen=True)
class Calibration:
    """How the probabilities of a network are corrected, and from which one on a tag is given.

    Attributes:
        category_temperature: Divides the category's logits; 1 leaves them as they are.
        tag_temperature: The same for the logits of all tags.
        category_tau: Exponent by which rare categories are lifted: 0 is not at all, 1 in full.
        category_priors: K shares of the categories among the training clips; 0 for one that they lack.
        tag_thresholds: C probabilities, after the temperature, from which on a tag is given.
        notes: In words, what was left as it is, and why.
    """

    category_temperature: float
    tag_temperature: float
    category_tau: float
    category_priors: tuple[float, ...]
    tag_thresholds: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("category_temperature", "tag_temperature"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise DataError(f"{name} is {value}: give a finite number above 0")
        if not 0 <= self.category_tau <= 1:
            raise DataError(f"category_tau is {self.category_tau}: give 0 to 1")
        for name in ("category_priors", "tag_thresholds"):
            for value in getattr(self, name):
                if not 0 <= value <= 1:
                    raise DataError(f"{name} hold {value}: give 0 to 1 for each")


def identity(num_categories: int, num_tags: int) -> Calibration:
    """The calibration that changes nothing: every category as frequent as the others, every threshold 0.5."""
    priors = (1 / num_categories,) * num_categories if num_categories else ()
    return Calibration(1.0, 1.0, 0.0, priors, (TAG_THRESHOLD,) * num_tags)


def mean_thresholds(calibrations: Sequence[Calibration]) -> npt.NDArray[np.float64]:
    """The mean threshold of each tag, `(C,)`, over the members of an ensemble; there is at least one."""
    means: npt.NDArray[np.float64] = np.array([member.tag_thresholds for member in calibrations]).mean(axis=0)
    return means
