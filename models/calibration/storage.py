"""`calibration.json` in the folder of a checkpoint.

It names the sha256 of the weights that it was fitted for, as `model.json` does, so that a calibration of other
weights is refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from features.base.errors import CheckpointError, DataError
from features.base.files import publish_bytes
from models.calibration.schema import Calibration, identity
from models.config.artifacts import CALIBRATION_NAME, DESCRIPTION_NAME

FORMAT_VERSION = 1


def write(folder: Path, calibration: Calibration) -> None:
    """Write the calibration of the checkpoint in `folder`; an older one is replaced.

    Raises:
        CheckpointError: There is no checkpoint.
    """
    content = {"format_version": FORMAT_VERSION, "weights_sha256": _weights_of(folder), **asdict(calibration)}
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    publish_bytes(folder / CALIBRATION_NAME, text.encode())


def read(folder: Path) -> Calibration | None:
    """The calibration of the checkpoint in `folder`; None where there is none.

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


def read_or_identity(folder: Path, num_categories: int, num_tags: int) -> Calibration:
    """The calibration of the checkpoint in `folder`, or the one that changes nothing where there is none.

    Raises:
        CheckpointError: As `read`, or it is of another number of categories or tags.
    """
    found = read(folder) or identity(num_categories, num_tags)
    sizes = len(found.category_priors), len(found.tag_thresholds)
    if sizes != (num_categories, num_tags):
        raise CheckpointError(
            f"{folder / CALIBRATION_NAME} is of {sizes[0]} categories and {sizes[1]} tags, the network has "
            f"{num_categories} and {num_tags}: train again"
        )
    return found


def read_members(folders: Sequence[Path], num_categories: int, num_tags: int) -> tuple[Calibration, ...] | None:
    """The calibrations of the members of an ensemble; None where none of them was calibrated.

    Raises:
        CheckpointError: As `read_or_identity`.
    """
    if all(read(folder) is None for folder in folders):
        return None
    return tuple(read_or_identity(folder, num_categories, num_tags) for folder in folders)


def remove(folder: Path) -> None:
    """Remove the calibration in `folder`, if there is one: for weights that are about to change."""
    (folder / CALIBRATION_NAME).unlink(missing_ok=True)


def _weights_of(folder: Path) -> str:
    """The sha256 of the weights of the checkpoint in `folder`, as its description tells it."""
    path = folder / DESCRIPTION_NAME
    try:
        return str(json.loads(path.read_bytes())["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"no checkpoint that a calibration goes with in {folder} ({error!r}): train one"
        ) from error


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
