"""All numbers of one split: thresholds of one rule for everybody, and none where nothing was calibrated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import f1_score

from models.calibration.schema import TAG_THRESHOLD, Calibration, read_calibration, remove_calibration
from models.evaluation.baselines import run_baselines
from models.evaluation.evaluate import SplitEvaluation, calibration_block, evaluate, evaluate_split
from models.evaluation.logistic_regression import LogisticSettings
from models.metrics.arrays import expected_calibration_error
from models.prediction.predict import Predictions, Predictor
from models.training.calibrate import calibrate_checkpoint
from tests.models.saved import DIMS, RECIPES, saved_network
from tests.models.synthetic import ListSource, random_labels, random_source

if TYPE_CHECKING:
    from pathlib import Path

    from models.data.labels import Labels

SPLITS = {"train": np.arange(30), "validation": np.arange(30, 70), "test": np.arange(70, 110)}
EVERYONE = np.arange(110)


@pytest.fixture
def source() -> ListSource:
    return random_source(110, {"frames": 6, "audio": 5, "text": 4}, seed=2)


@pytest.fixture
def labels() -> Labels:
    return random_labels(110, num_tags=2)


@pytest.fixture
def folders(tmp_path: Path, source: ListSource, labels: Labels) -> tuple[Path, Path]:
    """Two calibrated networks."""
    found = saved_network(tmp_path / "one", 1), saved_network(tmp_path / "two", 2)
    for folder in found:
        calibrate_checkpoint(folder, source, labels, SPLITS["validation"], SPLITS["train"], feature_recipes=RECIPES)
    return found


def measured(source: ListSource, labels: Labels, folders: tuple[Path, ...]) -> tuple[SplitEvaluation, Predictions]:
    scores = Predictor.load(folders, DIMS, RECIPES).predict(source, EVERYONE)
    found = evaluate_split(
        source,
        labels,
        SPLITS,
        "test",
        (scores.category_scores, scores.tag_scores),
        folders,
        uncalibrated=scores.uncalibrated_category_scores[SPLITS["test"]],
    )
    return found, scores


def test_an_ensemble_is_measured_by_its_thresholds_and_told_member_by_member(
    source: ListSource, labels: Labels, folders: tuple[Path, Path]
) -> None:
    found, scores = measured(source, labels, folders)
    thresholds = [row["threshold"] for row in found.model["per_class"]["tags"]]
    assert thresholds == scores.tag_thresholds.tolist() != [TAG_THRESHOLD, TAG_THRESHOLD]
    test = SPLITS["test"]
    given = scores.tag_scores[test] >= scores.tag_thresholds
    assert dict(found.model["tags"] or {})["micro_f1"] == pytest.approx(
        f1_score(labels.tags[test], given, average="micro")
    )
    alone = Predictor.load(folders, DIMS, RECIPES).predict(source, test)
    assert evaluate(alone, labels, test) == found.model
    assert found.calibration is not None
    first = read_calibration(folders[0])
    assert first is not None
    assert found.calibration["members"][0]["tag_temperature"] == first.tag_temperature
    assert len(found.calibration["members"]) == 2
    plain = Predictor.load(folders, DIMS, RECIPES, calibrated=False).predict(source, test)
    assert dict(found.calibration["expected_calibration_error"]) == {
        "before": pytest.approx(expected_calibration_error(plain.category_scores, labels.category[test])),
        "after": pytest.approx(expected_calibration_error(scores.category_scores[test], labels.category[test])),
    }


def test_the_baselines_have_thresholds_where_the_network_has_them(
    source: ListSource, labels: Labels, folders: tuple[Path, Path]
) -> None:
    found, _ = measured(source, labels, folders)
    expected = run_baselines(
        source,
        labels,
        train=SPLITS["train"],
        validation=SPLITS["validation"],
        scored=SPLITS["test"],
        settings=LogisticSettings(),
        calibrated=True,
    )
    assert list(found.baselines) == ["majority", "logistic_regression"]
    for name, evaluation in found.baselines.items():
        thresholds = expected[name].tag_thresholds
        assert thresholds is not None
        assert [row["threshold"] for row in evaluation["per_class"]["tags"]] == thresholds.tolist()
        assert thresholds.tolist() != [TAG_THRESHOLD, TAG_THRESHOLD]


def test_where_no_network_is_calibrated_nobody_is(
    source: ListSource, labels: Labels, folders: tuple[Path, Path]
) -> None:
    for folder in folders:
        remove_calibration(folder)
    found, _ = measured(source, labels, folders)
    assert found.calibration is None
    for evaluation in (found.model, *found.baselines.values()):
        assert [row["threshold"] for row in evaluation["per_class"]["tags"]] == [TAG_THRESHOLD, TAG_THRESHOLD]


def test_the_block_names_every_member_and_both_errors() -> None:
    scores: npt.NDArray[np.float64] = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.55, 0.45], [1.0, 0.0]])
    category = np.array([0, 1, 1, 0, -1])
    members = [
        Calibration(2.0, 1.5, 0.25, (0.5, 0.5), (0.3,), ("why",)),
        Calibration(1.0, 1.0, 0.0, (0.5, 0.5), (0.5,)),
    ]
    block = calibration_block(members, scores, np.full((5, 2), 0.5), category)
    assert json.loads(json.dumps(block, allow_nan=False)) == {
        "members": [
            {"category_temperature": 2.0, "tag_temperature": 1.5, "category_tau": 0.25, "notes": ["why"]},
            {"category_temperature": 1.0, "tag_temperature": 1.0, "category_tau": 0.0, "notes": []},
        ],
        "expected_calibration_error": {
            "before": expected_calibration_error(scores, category),
            "after": pytest.approx(0.0),  # half of them right, and a probability of one half for each
        },
    }
