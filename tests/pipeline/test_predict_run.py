"""The scores before calibration that Predict keeps, through the command that people type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from features.base.files import sha256_of
from features.manifests.corpus import read_splits
from models.metrics.arrays import expected_calibration_error
from models.prediction.predict import Predictor
from tests.end_to_end.run import Workplace
from tests.pipeline.learning import SETTINGS, clips_of, metrics_of, records_of

if TYPE_CHECKING:
    from pathlib import Path


CONFIGURATION = {
    **{name: section for name, section in SETTINGS.items() if name != "ensemble"},
    # Enough validation clips to fit a temperature.
    "sample": {"num_clips": "120"},
    "manifest": {"clips_per_shard": "50"},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A place of its own in which RunAll has come to its end."""
    place = Workplace(tmp_path_factory.mktemp("predict"))
    place.configure(CONFIGURATION)
    done = place.luigi("RunAll")
    assert done.returncode == 0, done.stdout
    return place


def _companions(place: Workplace) -> list[Path]:
    return sorted((place.root / "predict" / "latest").resolve().glob("uncalibrated-*.npz"))


def _calibration(place: Workplace) -> dict[str, float]:
    block = metrics_of(place, "evaluate")["calibration"]
    assert isinstance(block, dict)
    found: dict[str, float] = block["expected_calibration_error"]
    return found


def _expected(place: Workplace) -> float | None:
    """The calibration error before, from a second prediction without calibration, as earlier versions took it."""
    clips, splits, records = clips_of(place), read_splits(place.root / "manifest" / "latest"), records_of(place)
    folder = place.root / "train" / "latest"
    predictor = Predictor.load((folder,), clips.modality_dims, clips.recipes(), calibrated=False)
    test = np.array([row for row, clip_id in enumerate(clips.clip_ids) if splits[clip_id] == "test"])
    names = predictor.info.category_names
    own = [records[clips.clip_ids[row]].category for row in test]
    numbers = [names.index(category) if category in names else -1 for category in own]
    return expected_calibration_error(predictor.predict(clips, test).category_scores, np.array(numbers))


@pytest.mark.slow
def test_the_error_before_calibration_is_that_of_a_prediction_without_it(finished: Workplace) -> None:
    found = _calibration(finished)
    assert found["before"] == pytest.approx(_expected(finished), abs=1e-6)
    success = json.loads((finished.root / "predict" / "latest" / "_SUCCESS.json").read_text(encoding="utf-8"))
    listed = {item["name"]: item for item in success["files"]}
    companions = _companions(finished)
    assert len(companions) == 3
    assert all(listed[path.name]["is_record"] for path in companions)
    assert not listed["shard-00000.h5"]["is_record"]


@pytest.mark.slow
def test_a_missing_or_damaged_file_is_written_again_and_nothing_below_runs(finished: Workplace) -> None:
    folder = _companions(finished)[0].parent
    before = {path.name: sha256_of(path) for path in folder.iterdir() if path.suffix in {".npz", ".h5"}}
    (folder / "uncalibrated-00001.npz").unlink()
    with (folder / "uncalibrated-00002.npz").open("r+b") as stream:
        stream.truncate(100)

    done = finished.luigi("RunAll")

    assert done.returncode == 0, done.stdout
    assert {path.name: sha256_of(path) for path in folder.iterdir() if path.suffix in {".npz", ".h5"}} == before
    assert "predict         done" in done.stdout
    assert "(2 of 7 files kept)" in done.stdout
    assert "evaluate        done" not in done.stdout


@pytest.mark.slow
def test_a_shard_that_is_linked_takes_its_file_along(finished: Workplace) -> None:
    first = _companions(finished)[0]
    finished.configure({**CONFIGURATION, "predict": {"top_k": "2"}})
    done = finished.luigi("RunAll")
    finished_again = _companions(finished)[0]
    finished.configure(CONFIGURATION)

    assert done.returncode == 0, done.stdout
    assert finished_again.parent != first.parent
    assert finished_again.samefile(first)
    assert finished.luigi("RunAll").returncode == 0


@pytest.mark.slow
def test_a_root_of_an_earlier_version_is_complete_and_can_be_evaluated_again(finished: Workplace) -> None:
    before = _calibration(finished)
    folder = _companions(finished)[0].parent
    path = folder / "_SUCCESS.json"
    success = json.loads(path.read_text(encoding="utf-8"))
    success["files"] = [item for item in success["files"] if not item["name"].startswith("uncalibrated")]
    path.write_text(json.dumps(success), encoding="utf-8")
    for companion in _companions(finished):
        companion.unlink()

    done = finished.luigi("RunAll")
    assert "Did not run any tasks" in done.stdout

    done = finished.luigi("RunAll", "--force", "Evaluate")
    assert done.returncode == 0, done.stdout
    assert "evaluate        done" in done.stdout
    assert "predict         done" not in done.stdout
    assert not _companions(finished)
    # Other batches: the last bits of a sum may differ.
    assert _calibration(finished) == pytest.approx(before, abs=1e-6)
