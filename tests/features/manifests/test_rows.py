from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.base.errors import SourceError
from features.formats.records import ClipRecord
from features.manifests.compressed import MAX_LINE_BYTES
from features.manifests.config import CorpusConfig
from features.manifests.reading import Reading, read_manifest

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, content: bytes | str, name: str = "m.csv", config: CorpusConfig | None = None) -> Reading:
    (folder / name).write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return read_manifest(folder / name, config or CorpusConfig(preset="csv"))


def rejected(reading: Reading) -> list[tuple[int, str]]:
    return [(row.line, row.code) for row in reading.rejections]


def test_every_field_is_taken_over(tmp_path: Path) -> None:
    reading = read(
        tmp_path,
        "\ufeffid, video,text,category,tags,duration_seconds,split,extra\r\n"
        '7,v.mp4," says ""hi"", 你好\r\nand more",cat,b|a| b ,2.5,val,x\r\n'
        "\r\n"
        '8,,,,"[""x|y"", ""z""]",1:02,,\r\n'
        "9,,,,,,,\r\n"
        "10,,,,[],3,,\r\n",
    )
    assert reading.rejections == []
    assert reading.records == [
        ClipRecord(
            "7", "v.mp4", title='says "hi", 你好  and more', category="cat", tags=("b", "a"), duration_seconds=2.5,
            split="validation",
        ),
        ClipRecord("8", tags=("x|y", "z"), duration_seconds=62.0),
        ClipRecord("9"),
        ClipRecord("10", tags=(), duration_seconds=3.0),
    ]  # fmt: skip
    assert reading.lines == [2, 5, 6, 7]
    assert reading.num_rows == 4


def test_rows_that_are_none_get_their_reason_and_the_line_where_they_start(tmp_path: Path) -> None:
    reading = read(
        tmp_path,
        b'id,text\n1,"two\nlines"\n2\n3,x,y\n4,\xff\n"5"x,z\n,no id\n6,"a\n\xffb"\n7,'
        + b"x" * MAX_LINE_BYTES
        + b"\n8,"
        + b"y" * 200_000
        + b'\n9,ok\n10,"open\nend',
    )
    assert rejected(reading) == [
        (4, "column_count"), (5, "column_count"), (6, "not_utf8"), (7, "invalid_csv"), (8, "missing_id"),
        (9, "not_utf8"), (11, "line_too_long"), (12, "invalid_csv"), (14, "invalid_csv"),
    ]  # fmt: skip
    assert [record.clip_id for record in reading.records] == ["1", "9"]
    assert reading.num_rows == 11


def test_an_open_quote_does_not_gather_the_file(tmp_path: Path) -> None:
    rows = "".join(f"{number},a text of some length for a clip\n" for number in range(40_000))
    assert len(rows) > MAX_LINE_BYTES
    reading = read(tmp_path, 'id,text\n"open,\n' + rows)
    assert rejected(reading) == [(2, "invalid_csv")]
    assert len(reading.records) > 35_000


def test_a_row_of_endless_cells_over_many_lines_is_rejected(tmp_path: Path) -> None:
    reading = read(tmp_path, "id,text\n2,ok\n1," + '"\n",' * 300_000 + "\n")
    assert rejected(reading)[0] == (3, "line_too_long")
    assert [record.clip_id for record in reading.records] == ["2"]


def test_tsv_and_another_separator(tmp_path: Path) -> None:
    config = CorpusConfig(tag_separator=";")
    reading = read(tmp_path, 'id\ttext\ttags\n1\ta, b\tx;y|z\n2\t"tab\there"\t\n', "m.tsv", config)
    assert reading.records == [
        ClipRecord("1", title="a, b", tags=("x", "y|z")),
        ClipRecord("2", title="tab here"),
    ]


def test_a_csv_with_the_names_of_another_preset(tmp_path: Path) -> None:
    content = "mp4_id,video_label,mp4_time\n1,海滩,0:16\n1,City,0:16\n"
    record = read(tmp_path, content, config=CorpusConfig(preset="xinpianchang")).records[0]
    assert (record.category, record.tags, record.duration_seconds) == ("Beach", ("Beach", "City"), 16.0)


def test_the_preset_csv_reads_a_name_without_an_ending_as_csv(tmp_path: Path) -> None:
    assert read(tmp_path, "id\n1\n", "clips").records == [ClipRecord("1")]


@pytest.mark.parametrize("cell", ['"[""a"""', '"[1]"', '"[{]"'])
def test_a_broken_list_of_tags_is_a_reason(tmp_path: Path, cell: str) -> None:
    reading = read(tmp_path, f"id,tags\n1,{cell}\n2,x\n")
    assert [line for line, _ in rejected(reading)] == [2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,video\n1,a\n", r"no column 'id' for the id: its columns are 'name, video'"),
        ("id,video,video\n1,a,b\n", "names the column 'video' twice"),
        (b"id,\xff\n1,a\n", "header of the manifest cannot be read: not_utf8"),
        ("", "it is empty"),
        ("id,video\n", "it is empty"),
    ],
)
def test_a_header_that_cannot_be_used_is_one_clear_error(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(tmp_path, content)


def test_a_column_that_a_setting_names_has_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text("id,video\na,a.mp4\n", encoding="utf-8")

    with pytest.raises(
        SourceError, match=r"no column 'brief', which the setting fields names: its columns are 'id, video'"
    ):
        read_manifest(path, CorpusConfig(fields="title=brief"))
    # What a preset names may be missing.
    assert [record.title for record in read_manifest(path, CorpusConfig()).records] == [""]
