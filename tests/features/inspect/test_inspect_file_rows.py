from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import ShardError, SourceError
from features.formats.records import ClipRecord
from features.inspect.inspect_file import inspect_path
from features.inspect.result import InspectQuery

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DOWNLOADS = [
    {"outcome": {"clip_id": name, "status": status, "code": code, "detail": ""}, "video": None, "cover": None}
    for name, status, code in [("a", "ok", ""), ("b", "failed", "http_404"), ("c", "failed", "http_404")]
]
TEXTS = [{"clip_id": "a", "status": "ok", "code": "", "text": "你好", "segments": [{"start_seconds": 0.0}]}]


def written(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_outcomes_of_downloads_are_counted(tmp_path: Path) -> None:
    found = inspect_path(written(tmp_path / "a.jsonl", DOWNLOADS), InspectQuery())
    assert found.values["kind"] == "downloads"
    assert found.values["rows"] == 3
    assert found.values["by_status"] == {"failed": 2, "ok": 1}
    assert found.values["by_code"] == {"http_404": 2}
    assert found.values["first_rows"] == DOWNLOADS
    assert found.drawings == ()


def test_records_are_counted_by_category_and_the_first_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    records = [ClipRecord(f"c{number}", category="ab"[number % 2]) for number in range(9)]
    path.write_text("".join(record.to_line() for record in records), encoding="utf-8")
    found = inspect_path(path, InspectQuery()).values
    assert (found["kind"], found["rows"], found["by_category"]) == ("record shard", 9, {"a": 5, "b": 4})
    assert [row["clip_id"] for row in found["first_rows"]] == ["c0", "c1", "c2", "c3", "c4"]
    assert inspect_path(path, InspectQuery("c7")).values["clip"]["clip_id"] == "c7"


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"clip_id": "a", "split": "test"}, "splits"),
        ({"line": 3, "code": "no_id", "detail": "", "clip_id": ""}, "rejected rows"),
        (TEXTS[0], "recognised text"),
        ({"clip_id": "a", "categories": [], "tags": []}, "predictions"),
        ({"epoch": 1, "train_loss": 0.5}, "training history"),
        ({"id": "a"}, "rows"),
    ],
)
def test_each_kind_is_told_by_its_fields(row: dict[str, Any], kind: str, tmp_path: Path) -> None:
    assert inspect_path(written(tmp_path / "a.jsonl", [row]), InspectQuery()).values["kind"] == kind


def test_one_clip_is_chosen_by_its_id_wherever_it_stands(tmp_path: Path) -> None:
    assert inspect_path(written(tmp_path / "a.jsonl", DOWNLOADS), InspectQuery("c")).values["clip"] == DOWNLOADS[2]
    assert inspect_path(written(tmp_path / "b.jsonl", TEXTS), InspectQuery("a")).values["clip"]["text"] == "你好"
    assert inspect_path(written(tmp_path / "c.jsonl", [{"id": "z"}]), InspectQuery("z")).values["clip"] == {"id": "z"}
    with pytest.raises(SourceError, match="has no clip 'nobody'"):
        inspect_path(tmp_path / "a.jsonl", InspectQuery("nobody"))


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert inspect_path(written(tmp_path / "a.jsonl", []), InspectQuery()).values == {
        "kind": "rows", "rows": 0, "first_rows": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": ', "line 2 is not JSON "),
        (b"\xff\xfe", "line 2 is not JSON "),
        (b"[1]", "line 2 is not a JSON object"),
        (b"[" * 100_000, "line 2 is not JSON "),
    ],
)
def test_a_damaged_line_is_named(line: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"clip_id": "a"}\n' + line)
    with pytest.raises(ShardError, match=message) as caught:
        inspect_path(tmp_path / "a.jsonl", InspectQuery())
    assert "\n" not in str(caught.value)
