"""Calibration of a trained network on the validation clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.calibration.fit import category_priors, fit_calibration
from models.calibration.schema import write_calibration
from models.prediction.predict import predict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
    """Fit temperatures, thresholds and the lift of rare categories, and write them into ``folder``.

    Args:
        folder: Of the checkpoint; an older calibration is replaced.
        source: The clips.
        labels: Their labels, in the label space of the checkpoint.
        validation_indices: ``(m,)`` positions of the clips to fit on; may be empty.
        train_indices: ``(n,)`` positions of the clips that the frequencies of the categories are counted in.
        feature_recipes: Modality -> recipe of the features of ``source``.
        device: Name of a torch device.

    Raises:
        CheckpointError: There is no sound checkpoint, or it was trained on other features.
    """
    found = predict(
        folder, source, validation_indices, feature_recipes=feature_recipes, device=device, calibrated=False
    )
    calibration = fit_calibration(
        found.category_scores,
        labels.category[validation_indices],
        found.tag_scores,
        labels.tags[validation_indices],
        labels.tags_known[validation_indices],
        category_priors(labels.category[train_indices], len(labels.category_names)),
    )
    write_calibration(folder, calibration)
    return calibration
