"""What is fitted on the validation clips, and ``calibration.json`` in the folder of a checkpoint.

The file has the sha256 of the weights that it was fitted for, as ``model.json`` does, so that a calibration of other
weights is refused.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from features.base.errors import CheckpointError, DataError
from features.base.files import publish_bytes
from models.config.artifacts import CALIBRATION_NAME, DESCRIPTION_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

FORMAT_VERSION = 1
# A tag without a fitted threshold is given from this probability on.
TAG_THRESHOLD = 0.5


@dataclass(frozen=True)
class Calibration:
    """How the probabilities of a network are corrected, and from which of them on a tag is given.

    Attributes:
        category_temperature: Divides the category's logits; 1 leaves them as they are.
        tag_temperature: The same for the logits of all tags.
        category_tau: Exponent by which rare categories are lifted: 0 is not at all, 1 in full.
        category_priors: K fractions of the training clips by category; 0 for one that they lack.
        tag_thresholds: C probabilities, after the temperature, from which on a tag is given.
        notes: What was left as it is, and why; text for a person.
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


def no_calibration(num_categories: int, num_tags: int) -> Calibration:
    """Return the calibration that changes nothing: every category as frequent as the others, every threshold 0.5."""
    priors = (1 / num_categories,) * num_categories if num_categories else ()
    return Calibration(1.0, 1.0, 0.0, priors, (TAG_THRESHOLD,) * num_tags)


def mean_thresholds(calibrations: Sequence[Calibration]) -> npt.NDArray[np.float64]:
    """Return the mean threshold of each tag, ``(C,)``, over the members of an ensemble, at least one."""
    means: npt.NDArray[np.float64] = np.array([member.tag_thresholds for member in calibrations]).mean(axis=0)
    return means


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write the calibration of the checkpoint in ``folder``; an older one is replaced.

    Raises:
        CheckpointError: There is no checkpoint.
    """
    content = {"format_version": FORMAT_VERSION, "weights_sha256": _weights_of(folder), **asdict(calibration)}
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    publish_bytes(folder / CALIBRATION_NAME, text.encode())


def read_calibration(folder: Path) -> Calibration | None:
    """Return the calibration of the checkpoint in ``folder``; None where there is none.

    Raises:
        CheckpointError: It is damaged, of another format version, or of other weights.
    """
    path = folder / CALIBRATION_NAME
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): train again") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format version {version}; this program reads {FORMAT_VERSION}: train again")
    if content.get("weights_sha256") != _weights_of(folder):
        raise CheckpointError(
            f"{path} was fitted for weights {str(content.get('weights_sha256'))[:12]}..., not for those that "
            f"{DESCRIPTION_NAME} beside it names: remove it, or train again"
        )
    return _parse(path, content)


def read_or_default(folder: Path, num_categories: int, num_tags: int) -> Calibration:
    """Return the calibration of the checkpoint in ``folder``, or :func:`no_calibration` where there is none.

    Raises:
        CheckpointError: As :func:`read_calibration`, or it is of another number of categories or tags.
    """
    found = read_calibration(folder) or no_calibration(num_categories, num_tags)
    sizes = len(found.category_priors), len(found.tag_thresholds)
    if sizes != (num_categories, num_tags):
        raise CheckpointError(
            f"{folder / CALIBRATION_NAME} is of {sizes[0]} categories and {sizes[1]} tags, the network has "
            f"{num_categories} and {num_tags}: train again"
        )
    return found


def read_members(folders: Sequence[Path], num_categories: int, num_tags: int) -> tuple[Calibration, ...] | None:
    """Return the calibrations of the members of an ensemble; None where none of them has one.

    Raises:
        CheckpointError: As :func:`read_or_default`.
    """
    if all(read_calibration(folder) is None for folder in folders):
        return None
    return tuple(read_or_default(folder, num_categories, num_tags) for folder in folders)


def remove_calibration(folder: Path) -> None:
    """Remove the calibration in ``folder``, if there is one: for weights that are about to change."""
    (folder / CALIBRATION_NAME).unlink(missing_ok=True)


def _weights_of(folder: Path) -> str:
    """Return the sha256 of the weights of the checkpoint in ``folder``, as its description has it."""
    path = folder / DESCRIPTION_NAME
    try:
        return str(json.loads(path.read_bytes())["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"no checkpoint for a calibration in {folder} ({error!r}): train one") from error


def _parse(path: Path, content: Mapping[str, object]) -> Calibration:
    try:
        return Calibration(
            category_temperature=_number(content["category_temperature"]),
            tag_temperature=_number(content["tag_temperature"]),
            category_tau=_number(content["category_tau"]),
            category_priors=tuple(map(_number, cast("list[Any]", content["category_priors"]))),
            tag_thresholds=tuple(map(_number, cast("list[Any]", content["tag_thresholds"]))),
            notes=tuple(map(str, cast("list[Any]", content["notes"]))),
        )
    except (KeyError, TypeError, DataError) as error:
        raise CheckpointError(f"{path} cannot be understood ({error}): train again") from error


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
