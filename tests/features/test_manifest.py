from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SettingError, SourceError
from features.manifest import MAX_LINE_BYTES, PRESETS, CorpusConfig, ManifestConfig, Reading, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = PRESETS["plain"]
# The row became part of a record all the same: only its category is left out.
NOT_A_REJECTED_ROW = "conflicting_category"
GOOD = b'{"id": "good", "video": "v.mp4"}\n'


def read(path: Path, *lines: bytes | dict[str, Any], preset: str = "plain") -> Reading:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (path / "manifest.jsonl").write_bytes(b"\n".join(line.removesuffix(b"\n") for line in raw) + b"\n")
    return read_manifest(path / "manifest.jsonl", PRESETS[preset])


def rejected(reading: Reading) -> list[tuple[int, str]]:
    return [(row.line, row.code) for row in reading.rejections]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"id": "a"', "invalid_json"),
        (b"id,video", "invalid_json"),
        (b"{'id': 'a'}", "invalid_json"),
        (b'["a"]', "not_an_object"),
        (b'"a"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"video": "v.mp4"}', "missing_id"),
        (b'{"id": ""}', "missing_id"),
        (b'{"id": "   "}', "missing_id"),
        (b'{"id": null}', "missing_id"),
        (b'{"id": true}', "wrong_type"),
        (b'{"id": "a\\u0000b"}', "bad_id"),
        (b'{"id": "a\\u202eb"}', "bad_id"),
        (b'{"id": "' + b"x" * 600 + b'"}', "bad_id"),
        (b'{"id": "a", "text": 7}', "wrong_type"),
        (b'{"id": "a", "tags": "x"}', "wrong_type"),
        (b'{"id": "a", "duration_seconds": NaN}', "bad_value"),
        (b'{"id": "a", "duration_seconds": 1e999}', "bad_value"),
        (b'{"id": "a", "split": "holdout"}', "bad_value"),
        (b'{"id": "\xff\xfe"}', "not_utf8"),
        ('{"id": "a", "text": "标题"}'.encode("gb18030"), "not_utf8"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
        (b'{"id": "a", "text": "' + b"x" * MAX_LINE_BYTES + b'"}', "line_too_long"),
    ],
    ids=lambda value: value[:30].decode("utf-8", "replace") if isinstance(value, bytes) else value,
)
def test_a_line_that_is_no_record_gets_its_reason_and_its_line_number(tmp_path: Path, line: bytes, code: str) -> None:
    reading = read(tmp_path, GOOD, b"", line, b'{"id": "after"}')
    assert rejected(reading) == [(3, code)]
    assert reading.rejections[0].detail
    assert [record.clip_id for record in reading.records] == ["good", "after"]
    assert reading.lines == [1, 4]
    assert reading.num_rows == 3


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_that_nothing_can_hold_is_a_reason_too(tmp_path: Path, digits: int) -> None:
    reading = read(tmp_path, GOOD, b'{"id": "a", "duration_seconds": ' + b"9" * digits + b"}")
    assert [line for line, _ in rejected(reading)] == [2]


def test_what_is_fine(tmp_path: Path) -> None:
    reading = read(
        tmp_path,
        b"\xef\xbb\xbf" + GOOD,
        b"   \t",
        b'{"id": 7, "text": ""}\r',
        '{"id": "猫", "text": "一只猫"}'.encode(),
        b'{"id": "deep", "other": ' + b"[" * 50 + b"]" * 50 + b"}",
    )
    assert not reading.rejections
    assert reading.num_rows == 4
    assert [(record.clip_id, record.title) for record in reading.records] == [
        ("good", ""), ("7", ""), ("猫", "一只猫"), ("deep", ""),
    ]  # fmt: skip


def test_an_id_with_another_video_is_rejected_and_the_first_stands(tmp_path: Path) -> None:
    reading = read(tmp_path, {"id": "a", "video": "1.mp4"}, {"id": "a", "video": "2.mp4", "text": "x"})
    assert rejected(reading) == [(2, "conflicting_video")]
    assert "line 1" in reading.rejections[0].detail
    assert reading.rejections[0].clip_id == "a"
    assert (reading.records[0].video, reading.records[0].title) == ("1.mp4", "")


def test_rows_of_one_clip_are_merged_at_the_place_of_the_first(tmp_path: Path) -> None:
    reading = read(
        tmp_path,
        {"id": "a", "video": "1.mp4", "text": "first", "tags": ["x"], "category": "cat"},
        {"id": "b"},
        {"id": "a", "text": "second", "asr": "said", "tags": ["y", "x"], "duration_seconds": 3, "category": "cat"},
        {"id": "a", "video": "1.mp4", "group": "g", "split": "test", "tags": None},
    )
    assert [record.clip_id for record in reading.records] == ["a", "b"]
    merged = reading.records[0]
    assert (merged.title, merged.asr, merged.tags, merged.category) == ("first", "said", ("x", "y"), "cat")
    assert (merged.duration_seconds, merged.group, merged.split) == (3.0, "g", "test")
    assert (reading.num_rows, reading.num_merged, reading.rejections) == (4, 2, [])


def test_a_second_category_is_left_out_with_a_reason_and_the_row_is_merged(tmp_path: Path) -> None:
    reading = read(tmp_path, {"id": "a", "category": "cat"}, {"id": "a", "category": "dog", "tags": ["x"]})
    assert rejected(reading) == [(2, "conflicting_category")]
    assert (reading.records[0].category, reading.records[0].tags) == ("cat", ("x",))
    assert reading.num_merged == 1


def test_the_preset_xinpianchang(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "mp4_id": 10_000_012,
        "mp4_download_url": "https://example.org/1.mp4",
        "mp4_background_image_url": "https://example.org/1.jpeg",
        "mp4_txt_brief": "一部短片",
        "mp4_time": "0:16",
        "video_label": "旅拍",
    }
    rows = [row, {**row, "video_label": "宣传片"}, {**row, "video_label": "旅拍"}, {"mp4_id": "1", "mp4_time": "1:02"}]
    reading = read(tmp_path, *rows, preset="xinpianchang")
    assert not reading.rejections
    assert reading.num_merged == 2
    first, second = reading.records
    assert (first.clip_id, first.video, first.cover) == (
        "10000012",
        row["mp4_download_url"],
        row["mp4_background_image_url"],
    )
    assert (first.title, first.duration_seconds) == ("一部短片", 16.0)
    assert (first.category, first.tags) == ("旅拍", ("旅拍", "宣传片"))
    assert (second.category, second.tags, second.duration_seconds) == (None, None, 62.0)


def test_a_field_map_changes_names() -> None:
    config = CorpusConfig(fields=" title = brief,category=label, ")
    assert config.field_map() == {**PLAIN, "title": "brief", "category": "label"}
    assert CorpusConfig().field_map() == PLAIN


@pytest.mark.parametrize("fields", ["brief", "headline=brief", "title=", "=brief"])
def test_a_bad_field_map_is_named(fields: str) -> None:
    with pytest.raises(SettingError, match=r"cannot read .* expected record_field=manifest_field"):
        CorpusConfig(fields=fields)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(SettingError, match="unknown preset 'youku': expected one of plain, xinpianchang"):
        CorpusConfig(preset="youku")


@pytest.mark.parametrize(
    "values",
    [
        {"clips_per_shard": 0},
        {"min_clips_per_label": 0},
        {"validation_fraction": -0.1},
        {"validation_fraction": 0.5, "test_fraction": 0.5},
    ],
)
def test_bad_settings_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        ManifestConfig(**values)


def test_a_manifest_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(SourceError, match=r"cannot read the manifest .*: .*; set \[corpus\] manifest"):
            read_manifest(path, PLAIN)


def test_a_manifest_without_a_clip_says_why(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="it is empty"):
        read(tmp_path, b"")
    with pytest.raises(SourceError, match=r"line 2: missing_id: .*see the settings preset and fields"):
        read(tmp_path, b"", b'{"mp4_id": 1}')


ROWS = st.one_of(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["a", "b", "c", "", 7, True])},
        optional={
            "video": st.sampled_from(["1.mp4", "2.mp4", 3]),
            "category": st.sampled_from(["x", "y", None, 4]),
            "tags": st.lists(st.sampled_from(["t", "u"])) | st.just("t"),
        },
    ).map(lambda row: json.dumps(row).encode()),
    st.sampled_from([b"", b"  ", b"{", b"[]", b"\xff"]),
)


@given(lines=st.lists(ROWS, max_size=12), preset=st.sampled_from(sorted(PRESETS)))
def test_every_row_is_a_record_or_merged_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], preset: str
) -> None:
    known = json.dumps({PRESETS[preset]["clip_id"]: "known"}).encode()
    reading = read(tmp_path_factory.mktemp("rows", numbered=True), known, *lines, preset=preset)
    lost = [row for row in reading.rejections if row.code != NOT_A_REJECTED_ROW]
    assert reading.num_rows == len([line for line in [known, *lines] if line.strip()])
    assert reading.num_rows == len(reading.records) + reading.num_merged + len(lost)
    assert len({row.line for row in lost}) == len(lost)
    assert len(reading.lines) == len(reading.records)
    assert len({record.clip_id for record in reading.records}) == len(reading.records)
