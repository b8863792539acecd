from __future__ import annotations

import csv
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from features.base.errors import SourceError
from features.formats.records import KEPT_ROW_CODES
from features.manifests.compressed import MAX_LINE_BYTES
from features.manifests.config import FIELD_MAPS, CorpusConfig
from features.manifests.reading import Reading, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JSON_PRESETS = sorted(set(FIELD_MAPS) - {"xinpianchang-folder"})
GOOD = b'{"id": "good", "video": "v.mp4"}\n'


def read(path: Path, *lines: bytes | dict[str, Any], preset: str = "plain") -> Reading:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (path / "manifest.jsonl").write_bytes(b"\n".join(line.removesuffix(b"\n") for line in raw) + b"\n")
    return read_manifest(path / "manifest.jsonl", CorpusConfig(preset=preset))


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


def test_a_manifest_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(SourceError, match=r"cannot read the manifest .*: .*; set \[corpus\] manifest"):
            read_manifest(path, CorpusConfig())


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


@given(lines=st.lists(ROWS, max_size=12), preset=st.sampled_from(JSON_PRESETS))
def test_every_row_is_a_record_or_merged_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], preset: str
) -> None:
    known = json.dumps({FIELD_MAPS[preset]["clip_id"]: "known"}).encode()
    reading = read(tmp_path_factory.mktemp("rows", numbered=True), known, *lines, preset=preset)
    lost = [row for row in reading.rejections if row.code not in KEPT_ROW_CODES]
    assert reading.num_rows == len([line for line in [known, *lines] if line.strip()])
    assert reading.num_rows == len(reading.records) + reading.num_merged + len(lost)
    assert len({row.line for row in lost}) == len(lost)
    assert len(reading.lines) == len(reading.records)
    assert len({record.clip_id for record in reading.records}) == len(reading.records)


def test_chinese_and_english_names_are_one_category(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"mp4_id": "1", "video_label": "海滩"},
        {"mp4_id": "1", "video_label": "beach"},
        {"mp4_id": "2", "video_label": "green screen "},
        {"mp4_id": "3", "video_label": "VR"},
        {"mp4_id": "4", "video_label": "宣传片"},
    ]
    records = read(tmp_path, *rows, preset="xinpianchang").records
    assert [(record.category, record.tags) for record in records] == [
        ("Beach", ("Beach",)), ("Green Screen", ("Green Screen",)), ("360VR", ("360VR",)), ("宣传片", ("宣传片",)),
    ]  # fmt: skip
    config = CorpusConfig(preset="xinpianchang", category_language="written")
    assert read_manifest(tmp_path / "manifest.jsonl", config).records[0].tags == ("海滩", "beach")


def test_translated_categories_do_not_conflict(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(
        '{"id": 1, "category": "Beach"}\n{"id": 1, "category": "海滩"}\n', encoding="utf-8"
    )
    assert not read_manifest(tmp_path / "m.jsonl", CorpusConfig(category_language="zh")).rejections
    assert rejected(read_manifest(tmp_path / "m.jsonl", CorpusConfig())) == [(2, "conflicting_category")]


def test_a_checksum_goes_with_the_file_of_its_own_row(tmp_path: Path) -> None:
    one, two = "1" * 64, "2" * 64
    reading = read(
        tmp_path,
        {"id": "filled", "video": "a.mp4"},
        {"id": "filled", "video": "a.mp4", "video_checksum": one, "cover": "a.jpg", "cover_checksum": two},
        {"id": "other cover", "cover": "a.jpg"},
        {"id": "other cover", "cover": "b.jpg", "cover_checksum": two},
        {"id": "first", "video": "a.mp4", "video_checksum": one},
        {"id": "first", "video": "a.mp4", "video_checksum": two},
    )
    assert [(record.video_checksum, record.cover_checksum) for record in reading.records] == [
        (f"sha256:{one}", f"sha256:{two}"), ("", ""), (f"sha256:{one}", ""),
    ]  # fmt: skip


def test_a_title_of_any_script_comes_through(tmp_path: Path) -> None:
    titles = ["一部短片 🎬", "👩‍👩‍👧", "مرحبا \u200f!", "a\ud800b", "line\nbreak\0"]
    reading = read(tmp_path, *({"id": number, "text": title} for number, title in enumerate(titles)))
    assert [record.title for record in reading.records] == [*titles[:3], "a b", "line break"]


def test_ids_that_are_paths_stay_texts_and_ids_that_hide_something_are_rejected(tmp_path: Path) -> None:
    reading = read(tmp_path, *({"id": value} for value in ("../../x", "/etc/passwd", "a\0b", "a\u202eb", "x" * 513)))
    assert [record.clip_id for record in reading.records] == ["../../x", "/etc/passwd"]
    assert rejected(reading) == [(3, "bad_id"), (4, "bad_id"), (5, "bad_id")]


@pytest.mark.parametrize(
    "content", [b"[\n  {}\n]", b'[{"id": 1},\n{"id": 2}]', b'\n [ {"id": 1}]', b'\xef\xbb\xbf[\r\n{"id": 1}]']
)
def test_a_json_array_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(SourceError, match=r"one JSON array: give one object a line, such as by jq"):
        read_manifest(tmp_path / "m.json", CorpusConfig())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16_is_one_clear_error(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "m.csv").write_text("\ufeffid,video\n1,a.mp4\n", encoding=encoding)
    with pytest.raises(SourceError, match="UTF-16 text: convert it to UTF-8"):
        read_manifest(tmp_path / "m.csv", CorpusConfig())


PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}


@settings(max_examples=25)
@given(lines=st.lists(ROWS, max_size=12))
def test_plain_gz_and_zst_give_the_same(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("packed", numbered=True)
    content = b"\n".join([GOOD.strip(), *lines])
    readings = []
    for ending, pack in PACKERS.items():
        (folder / f"m.jsonl{ending}").write_bytes(pack(content))
        readings.append(read_manifest(folder / f"m.jsonl{ending}", CorpusConfig()))
    assert readings[0] == readings[1] == readings[2]


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from('\n",|'), max_size=8)


@settings(max_examples=50)
@given(rows=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), CELLS, CELLS), min_size=1, max_size=8))
def test_csv_gives_what_json_lines_give(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    folder = tmp_path_factory.mktemp("csv", numbered=True)
    names = ("id", "text", "asr")
    with (folder / "m.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([names, *rows])
    lines = [json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows]
    (folder / "m.jsonl").write_text("".join(lines), encoding="utf-8")
    ours, theirs = (read_manifest(folder / f"m.{kind}", CorpusConfig()) for kind in ("csv", "jsonl"))
    assert ours.records == theirs.records
    assert (ours.num_rows, ours.num_merged, ours.rejections) == (theirs.num_rows, theirs.num_merged, [])
