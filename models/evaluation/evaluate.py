"""The network and its baselines measured on the clips of one split, all decided by thresholds of the same rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.calibration.schema import mean_thresholds
from models.calibration.storage import read_members
from models.calibration.summary import CalibrationBlock
from models.data.labels import Indices, Labels
from models.data.sources import FeatureSource
from models.evaluation.baselines import BaselineScores, run_baselines, take
from models.evaluation.logistic_regression import LogisticSettings
from models.evaluation.scores import Evaluation, evaluate
from models.prediction.predict import Predictions
from models.training.calibrate import measure_calibration


@dataclass(frozen=True)
class Measured:
    """All numbers of one split.

    Attributes:
        model: Of the network, or of the ensemble.
        baselines: Baseline -> its numbers on the same clips.
        calibration: What was fitted for the network; None where nothing was, and then not for the baselines either.
    """

    model: Evaluation
    baselines: Mapping[str, Evaluation]
    calibration: CalibrationBlock | None


def measure(
    source: FeatureSource,
    labels: Labels,
    splits: Mapping[str, Indices],
    split: str,
    scores: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    checkpoints: Sequence[Path],
    *,
    feature_recipes: Mapping[str, str],
) -> Measured:
    """Return the numbers of the clips of `split`.

    Args:
        source: The clips.
        labels: Their labels, in the label space of the checkpoints.
        splits: ``train``, ``validation`` and `split` -> positions in `source`.
        split: Name of the split to measure on.
        scores: Category ``(N, K)`` and tag ``(N, C)`` probabilities of all N clips, as `checkpoints` predict them.
        checkpoints: Folders of the networks whose predictions are averaged; at least one.
        feature_recipes: Modality -> recipe of the features of `source`.

    Raises:
        CheckpointError: There is no sound checkpoint, or it was trained on other features.
        DataError: The train split is empty, or scores and labels do not fit each other.
    """
    scored = splits[split]
    calibrations = read_members(checkpoints, len(labels.category_names), len(labels.tag_names))
    baselines = run_baselines(
        source,
        labels,
        train=splits["train"],
        validation=splits["validation"],
        scored=scored,
        settings=LogisticSettings(),
        calibrated=calibrations is not None,
    )
    thresholds = None if calibrations is None else mean_thresholds(calibrations)
    category_scores, tag_scores = (part[scored] for part in scores)
    return Measured(
        measure_scores(BaselineScores(category_scores, tag_scores, thresholds), labels, scored),
        {name: measure_scores(found, labels, scored) for name, found in baselines.items()},
        measure_calibration(checkpoints, source, scored, labels, category_scores, feature_recipes=feature_recipes),
    )


def measure_scores(found: Predictions | BaselineScores, labels: Labels, scored: Indices) -> Evaluation:
    """Return how good the scores of some clips are.

    Args:
        found: One row for each of `scored`.
        labels: Labels of all clips.
        scored: ``(n,)`` positions in `labels`.

    Raises:
        DataError: Scores and labels do not fit each other.
    """
    chosen = take(labels, scored)
    return evaluate(
        found.category_scores,
        chosen.category,
        found.tag_scores,
        chosen.tags,
        chosen.tags_known,
        category_names=chosen.category_names,
        tag_names=chosen.tag_names,
        tag_thresholds=found.tag_thresholds,
    )
