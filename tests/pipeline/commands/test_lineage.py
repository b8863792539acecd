from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from features.formats.records import ClipRecord
from pipeline.commands.lineage import Lineage, find_lineage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def stage(root: Path, name: str, fingerprint: str, inputs: Mapping[str, str], *files: str) -> Path:
    folder = root / name / fingerprint
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"stage": name, "inputs": inputs}), encoding="utf-8")
    for file in files:
        (folder / file).touch()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with two corpora; the frames are those of the older one."""
    for fingerprint, category in (("old", "nature"), ("new", "traffic")):
        folder = stage(tmp_path, "manifest", fingerprint, {})
        record = ClipRecord("a", category=category)
        (folder / "shard-00001.jsonl").write_text(record.to_line(), encoding="utf-8")
    stage(tmp_path, "download", "d1", {"manifest": "old"})
    stage(tmp_path, "decode", "d2", {"download": "d1"}, "shard-00001.tar")
    stage(tmp_path, "decode", "d3", {"download": "d1"}, "shard-00001.tar")
    stage(tmp_path, "extract-frames", "e1", {"decode": "d2"}, "shard-00001.h5")
    stage(tmp_path, "extract-text", "e2", {"manifest": "new"}, "shard-00001.h5")
    stage(tmp_path, "predict", "p1", {"extract-frames": "e1", "extract-text": "e2x"}, "shard-00001.h5")
    (tmp_path / "decode" / "latest").symlink_to("d3")
    (tmp_path / "extract-frames" / "latest").symlink_to("e1")
    return tmp_path


@pytest.mark.parametrize("folder", ["extract-frames/e1", "extract-frames/latest", "predict/p1"])
def test_records_and_pictures_are_those_that_the_shard_was_made_from(root: Path, folder: str) -> None:
    found = find_lineage(root / folder / "shard-00001.h5")
    assert found.records_file == root / "manifest" / "old" / "shard-00001.jsonl"
    assert found.records["a"].category == "nature"
    assert found.decoded == root / "decode" / "d2" / "shard-00001.tar"


def test_text_gets_pictures_from_the_newest_decoded_shards(root: Path) -> None:
    found = find_lineage(root / "extract-text" / "e2" / "shard-00001.h5")
    assert found.records["a"].category == "traffic"
    assert found.decoded == root / "decode" / "d3" / "shard-00001.tar"


def test_a_shard_of_another_number_finds_nothing_of_this_one(root: Path) -> None:
    assert find_lineage(root / "extract-frames" / "e1" / "shard-00002.h5") == Lineage()


def test_a_file_that_stands_alone_has_no_surroundings(tmp_path: Path) -> None:
    assert find_lineage(tmp_path / "shard-00000.h5") == Lineage()


@pytest.mark.parametrize("content", ["{", "[]", '{"inputs": 3}', '{"inputs": {"decode": "d2"}}'])
def test_whatever_stands_beside_a_shard_is_no_error(root: Path, content: str) -> None:
    (root / "extract-frames" / "e1" / "params.json").write_text(content, encoding="utf-8")
    (root / "manifest" / "old" / "shard-00001.jsonl").write_text("rubbish", encoding="utf-8")
    found = find_lineage(root / "extract-frames" / "e1" / "shard-00001.h5")
    assert found.records == {}
    assert found.records_file is None
