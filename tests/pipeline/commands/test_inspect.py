from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from features.base.errors import SourceError
from features.formats.records import ClipRecord
from pipeline.commands.cli import main
from pipeline.commands.inspect import Inspection, inspect_file, render_inspection
from tests.features.inspect.published import FEATURES, embeddings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """An embedding shard in its place under a root, with the records of its clips."""
    folder = tmp_path / "root" / "extract-frames" / "e1"
    manifest = tmp_path / "root" / "manifest" / "m1"
    folder.mkdir(parents=True)
    manifest.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"inputs": {"manifest": "m1"}}), encoding="utf-8")
    lines = [ClipRecord(f"clip{number}", category="猫", title="a\x1b[31mb\n" * 99).to_line() for number in range(3)]
    (manifest / "shard-00000.jsonl").write_text("".join(lines), encoding="utf-8")
    embeddings(folder / "shard-00000.h5", [FEATURES, FEATURES[1:], FEATURES[:0]]).close()
    return folder / "shard-00000.h5"


def test_every_picture_is_written_under_its_plain_name(shard: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pictures"
    found = inspect_file(Inspection(shard, pictures=folder))
    assert sorted(path.name for path in folder.iterdir()) == ["features.png", "similarity.png"]
    assert [row["picture"] for row in found["pictures"]] == [
        str(folder / "features.png"), str(folder / "similarity.png")
    ]  # fmt: skip
    for path in folder.iterdir():
        with Image.open(path) as picture:
            assert picture.format == "PNG"
    assert found["labels_from"].endswith("manifest/m1/shard-00000.jsonl")
    assert found["clip"]["category"] == "猫"


def test_one_picture_is_written_where_it_is_asked_for(shard: Path, tmp_path: Path) -> None:
    found = inspect_file(Inspection(shard, png=tmp_path / "heat.png"))
    assert found["picture"] == str(tmp_path / "heat.png")
    with Image.open(tmp_path / "heat.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize("name", ["heat.jpg", "nowhere/heat.png", "heat"])
def test_a_picture_that_cannot_be_written_is_told_before_anything_is_read(
    shard: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(SourceError, match=r"cannot write a picture to .*: give a name that ends in \.png"):
        inspect_file(Inspection(shard, png=tmp_path / name))


def test_a_clip_without_anything_to_draw_is_told(shard: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no pictures: give a shard .* --clip"):
        inspect_file(Inspection(shard, "clip2", png=tmp_path / "heat.png"))


def test_a_folder_that_cannot_be_made_is_told(shard: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"cannot make the folder .*give another one"):
        inspect_file(Inspection(shard, pictures=tmp_path / "file"))
    (tmp_path / "pictures" / "features.png").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"cannot write a picture to .*features\.png \(Is a directory\)"):
        inspect_file(Inspection(shard, pictures=tmp_path / "pictures"))


def test_the_text_is_legible_and_moves_no_cursor(shard: Path) -> None:
    text = render_inspection(inspect_file(Inspection(shard)))
    assert "\x1b" not in text
    assert re.search(r"^  /features +5 x 2 +float16$", text, re.MULTILINE)
    assert "  time_seconds             0 0.5 1" in text.splitlines()
    # The title of 800 characters is cut.
    assert max(len(line) for line in text.splitlines()) < 400


def test_long_lists_are_cut_and_say_so() -> None:
    rows = [{"token": number} for number in range(50)]
    text = render_inspection(
        {"clip": {"time_seconds": [number / 2 for number in range(30)]}, "tokens": rows, "tags": []}
    )
    assert "0 0.5 1 1.5 2 2.5 3 3.5 4 4.5 ... (30)" in text
    assert "... and 30 more, which --json lists" in text
    assert "(none)" in text


def test_rows_are_shown_as_a_table_without_empty_columns(tmp_path: Path) -> None:
    rows = [
        {"outcome": {"clip_id": "a", "code": ""}, "video": {"bytes": 7, "kind": "mp4"}, "cover": None},
        {"outcome": {"clip_id": "b", "code": "http_404"}, "video": None, "cover": None, "best": [["x", 0.5], ["y", 1]]},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = render_inspection(inspect_file(Inspection(tmp_path / "a.jsonl"))).splitlines()
    assert [line.split() for line in lines[-4:]] == [
        ["outcome", "video", "best"], ["-" * 10, "-" * 5, "-" * 10], ["a", "7", "mp4", "-"],
        ["b", "http_404", "-", "x", "0.5,", "y", "1"],
    ]  # fmt: skip
    with pytest.raises(SourceError, match="has no pictures: give a shard"):
        inspect_file(Inspection(tmp_path / "a.jsonl", pictures=tmp_path))


def test_the_command_prints_json_with_numbers_in_lists(
    shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(shard), "--json", "--clip", "clip1", "--pictures", str(tmp_path / "p")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clip"]["shape"] == [2, 2]
    assert found["clip"]["time_seconds"] == [0, 0.5]
    assert found["data_sets"][-1] == {"name": "/time_seconds", "shape": [5], "type": "float32"}
    assert found["similarity"]["num_clips"] == 2
    assert len(found["pictures"]) == 2


def test_the_command_draws_a_scatter_by_either_projection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = list(np.random.default_rng(0).normal(size=(8, 1, 4)).astype(np.float32))
    embeddings(tmp_path / "a.h5", clips, dim=4).close()
    for projection, name in (("pca", "PCA"), ("tsne", "t-SNE")):
        assert main(["inspect", str(tmp_path / "a.h5"), "--scatter", projection, "--pictures", str(tmp_path)]) == 0
        assert f"clips of the shard by {name}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["inspect", str(tmp_path / "a.h5"), "--scatter", "umap"])
