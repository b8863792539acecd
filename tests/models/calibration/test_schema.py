"""``calibration.json`` comes back as it was, and only beside its own weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from features.base.errors import CheckpointError
from models.calibration.schema import (
    Calibration,
    no_calibration,
    read_calibration,
    read_or_default,
    remove_calibration,
    write_calibration,
)

if TYPE_CHECKING:
    from pathlib import Path

FOUND = Calibration(1.25, 0.5, 0.25, (0.75, 0.25), (0.125, 0.3, 1 / 3), ("太少",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what a checkpoint says of its weights."""
    describe_weights(tmp_path, "abc")
    return tmp_path


def describe_weights(folder: Path, digest: str) -> None:
    (folder / "model.json").write_text(json.dumps({"weights_sha256": digest}), encoding="utf-8")


def change(folder: Path, **values: object) -> None:
    path = folder / "calibration.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")


def test_what_is_written_is_read_to_the_last_bit(folder: Path) -> None:
    assert read_calibration(folder) is None
    write_calibration(folder, FOUND)
    assert read_calibration(folder) == FOUND
    assert sorted(path.name for path in folder.iterdir()) == ["calibration.json", "model.json"]
    write_calibration(folder, no_calibration(2, 3))
    assert read_calibration(folder) == no_calibration(2, 3)
    remove_calibration(folder)
    remove_calibration(folder)
    assert read_calibration(folder) is None


def test_equal_calibrations_are_equal_files(folder: Path) -> None:
    write_calibration(folder, FOUND)
    first = (folder / "calibration.json").read_bytes()
    write_calibration(folder, FOUND)
    assert (folder / "calibration.json").read_bytes() == first


def test_where_there_is_none_nothing_is_changed(folder: Path) -> None:
    assert read_or_default(folder, 2, 3) == no_calibration(2, 3)
    write_calibration(folder, FOUND)
    assert read_or_default(folder, 2, 3) == FOUND
    with pytest.raises(CheckpointError, match="is of 2 categories and 3 tags, the network has 2 and 4: train again"):
        read_or_default(folder, 2, 4)


def test_a_calibration_of_other_weights_is_refused(folder: Path) -> None:
    write_calibration(folder, FOUND)
    describe_weights(folder, "def")
    with pytest.raises(CheckpointError, match=r"was fitted for weights abc\.\.\., not for those that model\.json"):
        read_calibration(folder)
    (folder / "model.json").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint for a calibration"):
        read_calibration(folder)
    with pytest.raises(CheckpointError, match="no checkpoint for a calibration"):
        write_calibration(folder, FOUND)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"format_version": 99}, "has format version 99; this program reads 1: train again"),
        ({"category_temperature": "1"}, "cannot be understood .*'1' is no number"),
        ({"tag_temperature": True}, "cannot be understood .*True is no number"),
        ({"tag_temperature": -1}, "cannot be understood .*tag_temperature is -1"),
        ({"category_tau": None}, "cannot be understood .*None is no number"),
        ({"tag_thresholds": 0.5}, "cannot be understood"),
        ({"tag_thresholds": [0.5, 2]}, "cannot be understood .*tag_thresholds hold 2"),
        ({"category_priors": [float("nan")]}, "cannot be understood .*category_priors hold nan"),
    ],
)
def test_what_cannot_be_understood_is_refused(folder: Path, values: dict[str, object], told: str) -> None:
    write_calibration(folder, FOUND)
    change(folder, **values)
    with pytest.raises(CheckpointError, match=told):
        read_calibration(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "{}"])
def test_a_damaged_file_is_refused(folder: Path, text: str) -> None:
    (folder / "calibration.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"calibration\.json (cannot be read|has format version None)"):
        read_calibration(folder)
