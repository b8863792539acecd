"""The files beside a checkpoint tell what its network is made of."""

import json
from pathlib import Path

import pytest

from features.base.errors import DataError
from models.network.network import VideoNetwork
from models.structure.describe import write_structure
from models.structure.formatting import count_text
from models.structure.structure import read_structure
from tests.models.synthetic import SMALL_NETWORK


def test_the_files_beside_a_checkpoint(tmp_path: Path) -> None:
    network = VideoNetwork(SMALL_NETWORK, {"frames": 10, "text": 9, "cover": 10}, 3, 2)
    structure = write_structure(tmp_path, network)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(first) == ["network.json", "network.md", "network.svg"]
    assert read_structure(tmp_path) == structure
    assert json.loads(first["network.json"])["num_parameters"] == structure.num_parameters
    lines = first["network.md"].decode().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == len(structure.rows) + 2
    assert f"{structure.num_parameters:,} trained parameters" in first["network.md"].decode()
    assert any(line.startswith("| · · fusion | SeGate |") for line in lines)
    assert first["network.svg"].startswith(b"<svg")
    write_structure(tmp_path, network)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_a_checkpoint_without_one_has_none(tmp_path: Path) -> None:
    assert read_structure(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"modalities": [{}], "rows": []}', '{"modalities": [], "rows": []}'])
def test_a_file_of_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"network\.json: the text is no structure of a network"):
        read_structure(tmp_path)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (950, "950"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (999_600, "1.00 M"),
        (4_560_000, "4.56 M"),
        (2e15, "2000 T"),
    ],
)
def test_counts_have_three_digits(number: float, text: str) -> None:
    assert count_text(number) == text
