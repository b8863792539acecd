"""A trained network calibrated on the validation clips, and what that did on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.calibration.fit import category_shares, fit
from models.calibration.storage import read_members, write
from models.calibration.summary import CalibrationBlock, calibration_block
from models.prediction.predict import predict, predict_ensemble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from models.calibration.schema import Calibration
    from models.data.labels import Indices, Labels
    from models.data.sources import FeatureSource


def calibrate_checkpoint(
    folder: Path,
    source: FeatureSource,
    labels: Labels,
    validation_indices: Indices,
    train_indices: Indices,
    *,
    feature_recipes: Mapping[str, str],
    device: str = "cpu",
) -> Calibration:
    """Fit temperatures, thresholds and the lift of rare categories, and leave them in ``folder``.

    Args:
        folder: Of the checkpoint; an older calibration there is replaced.
        source: The clips.
        labels: Their labels, in the label space of the checkpoint.
        validation_indices: ``(m,)`` positions of the clips that everything is fitted on; may be empty.
        train_indices: ``(n,)`` positions of the clips that tell how rare a category is.
        feature_recipes: Modality -> recipe of the features of ``source``.
        device: Name of a torch device.

    Raises:
        CheckpointError: There is no sound checkpoint, or it was trained on other features.
    """
    found = predict(
        folder, source, validation_indices, feature_recipes=feature_recipes, device=device, calibrated=False
    )
    calibration = fit(
        found.category_scores,
        labels.category[validation_indices],
        found.tag_scores,
        labels.tags[validation_indices],
        labels.tags_known[validation_indices],
        category_shares(labels.category[train_indices], len(labels.category_names)),
    )
    write(folder, calibration)
    return calibration


def measure_calibration(
    folders: Sequence[Path],
    source: FeatureSource,
    indices: Indices,
    labels: Labels,
    category_scores: npt.NDArray[np.floating],
    *,
    feature_recipes: Mapping[str, str],
) -> CalibrationBlock | None:
    """Return what was fitted, and the calibration error before and after; None where nothing was calibrated.

    Args:
        folders: Of the checkpoints whose predictions are averaged; at least one.
        source: The clips.
        indices: ``(n,)`` positions of the clips to measure on.
        labels: Labels of all clips of ``source``, in the label space of the checkpoints.
        category_scores: ``(n, K)`` calibrated scores of the clips at ``indices``.
        feature_recipes: Modality -> recipe of the features of ``source``.

    Raises:
        CheckpointError: There is no sound checkpoint, or it was trained on other features.
    """
    calibrations = read_members(folders, len(labels.category_names), len(labels.tag_names))
    if calibrations is None:
        return None
    before = predict_ensemble(folders, source, indices, feature_recipes=feature_recipes, calibrated=False)
    return calibration_block(
        calibrations,
        uncalibrated=before.category_scores,
        calibrated=category_scores,
        category=labels.category[indices],
    )
