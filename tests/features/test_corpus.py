from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from features.corpus import build_corpus, read_labels, read_records, read_splits
from features.errors import SourceError
from features.manifest import CorpusConfig, ManifestConfig
from features.records import ClipRecord

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = ManifestConfig(clips_per_shard=4)


def rows(number: int) -> list[dict[str, Any]]:
    return [
        {"id": index, "video": f"{index}.mp4", "category": "ab"[index % 2], "text": "猫"} for index in range(number)
    ]


def write(path: Path, lines: list[Any]) -> Path:
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_corpus_on_disk_holds_everything_the_manifest_says(tmp_path: Path) -> None:
    manifest = write(
        tmp_path / "manifest.jsonl",
        [
            *rows(9),
            "broken\n",
            "\n",
            {"id": 3, "tags": ["once", "line\nbreak\ud800"]},
            {"id": 4, "video": "other.mp4"},
        ],
    )
    summary = build_corpus(manifest, CorpusConfig(), CONFIG, tmp_path / "out")
    assert (summary.num_rows, summary.num_clips, summary.num_merged) == (12, 9, 1)
    assert summary.rejected == {"invalid_json": 1, "conflicting_video": 1, "rare_tag": 2}
    assert sum(summary.clips_per_split.values()) == 9
    assert summary.files == {
        "shard-00000.jsonl": 4,
        "shard-00001.jsonl": 4,
        "shard-00002.jsonl": 1,
        "labels.json": 2,
        "rejected.jsonl": 4,
        "splits.jsonl": 9,
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(summary.files)
    for name, number in summary.files.items():
        assert name == "labels.json" or len(read_lines(tmp_path / "out" / name)) == number

    records = [
        record
        for name in sorted(summary.files)
        if name.startswith("shard")
        for record in read_records(tmp_path / "out" / name)
    ]
    assert [record.clip_id for record in records] == [str(index) for index in range(9)]
    assert records[3] == ClipRecord("3", "3.mp4", title="猫", category="b", tags=("once", "line break"))
    assert read_labels(tmp_path / "out").categories == ("a", "b")
    assert list(read_splits(tmp_path / "out")) == [record.clip_id for record in records]
    assert [(row["line"], row["code"]) for row in read_lines(tmp_path / "out" / "rejected.jsonl")] == [
        (4, "rare_tag"), (4, "rare_tag"), (10, "invalid_json"), (13, "conflicting_video"),
    ]  # fmt: skip


def test_an_appended_manifest_gives_the_same_full_shards_and_more(tmp_path: Path) -> None:
    for number in (9, 13):
        build_corpus(write(tmp_path / "m.jsonl", rows(number)), CorpusConfig(), CONFIG, tmp_path / str(number))
    for name in ("shard-00000.jsonl", "shard-00001.jsonl"):
        assert (tmp_path / "9" / name).read_bytes() == (tmp_path / "13" / name).read_bytes()
    assert len(read_records(tmp_path / "13" / "shard-00003.jsonl")) == 1


def test_the_same_manifest_gives_the_same_bytes(tmp_path: Path) -> None:
    manifest = write(tmp_path / "m.jsonl", [*rows(9), "broken\n"])
    for name in ("one", "two"):
        build_corpus(manifest, CorpusConfig(), CONFIG, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_manifest_without_a_clip_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no clip in the manifest"):
        build_corpus(write(tmp_path / "m.jsonl", ["broken\n"]), CorpusConfig(), CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()
