from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.formats.records import ClipRecord, RowError
from features.manifests.config import FIELD_MAPS
from features.manifests.fields import parse_row

PLAIN = FIELD_MAPS["plain"]


def parse(**row: object) -> ClipRecord:
    return parse_row({"id": "a", **row}, PLAIN)


def refused(**row: object) -> tuple[str, str]:
    with pytest.raises(RowError) as caught:
        parse(**row)
    return caught.value.code, str(caught.value)


def test_every_field_is_taken_over() -> None:
    record = parse(
        id=" 7 ",
        video="v.mp4",
        cover="c.jpg",
        text=" 一只猫 ",
        asr="hello",
        ocr="shown",
        category="cat",
        tags=["b", "a", "b", " ", None],
        duration_seconds=2,
        group="g",
        split="VAL",
    )
    assert record == ClipRecord(
        "7", "v.mp4", "c.jpg", "一只猫", "hello", "shown", "cat", ("b", "a"), 2.0, "g", "validation"
    )


def test_absent_null_and_blank_are_missing() -> None:
    assert parse() == ClipRecord("a")
    assert parse(text=None, video="  ", category=" ", tags=None, duration_seconds=" ", split="") == ClipRecord("a")
    assert parse(tags=[]).tags == ()


@pytest.mark.parametrize(("value", "clip_id"), [(7, "7"), (0, "0"), (-3, "-3"), ("007", "007"), (" a b ", "a b")])
def test_ids_are_texts_or_whole_numbers(value: object, clip_id: str) -> None:
    assert parse(id=value).clip_id == clip_id


@pytest.mark.parametrize("value", [None, "", "   ", "\t\n", "\u3000"])
def test_a_blank_id_is_a_missing_id(value: object) -> None:
    assert refused(id=value)[0] == "missing_id"


@pytest.mark.parametrize("value", [True, False, 1.5, float("nan"), ["a"], {"a": 1}])
def test_an_id_of_another_type_is_refused(value: object) -> None:
    code, detail = refused(id=value)
    assert code == "wrong_type"
    assert type(value).__name__ in detail


@pytest.mark.parametrize("value", ["a\0b", "a\u202eb", "a\nb", "a\ud800", "x" * 513, 10**600])
def test_an_id_that_hides_something_or_is_endless_is_refused(value: object) -> None:
    code, detail = refused(id=value)
    assert code == "bad_id"
    assert detail.isprintable()


def test_an_id_of_512_characters_is_the_longest() -> None:
    assert len(parse(id="x" * 512).clip_id) == 512


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(2, 2.0), (0, 0.0), (2.5, 2.5), ("0:16", 16.0), ("2:03", 123.0), ("1:02:03", 3723.0), (" 0:16.5 ", 16.5)],
)
def test_durations(value: object, seconds: float) -> None:
    assert parse(duration_seconds=value).duration_seconds == seconds


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -1, 10**400, "16", "soon", "1:2", "9" * 400 + ":00:00", "٠:١٦"]
)
def test_durations_that_are_none(value: object) -> None:
    code, detail = refused(duration_seconds=value)
    assert code == "bad_value"
    assert detail.startswith("duration_seconds is ")
    assert len(detail) < 140


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 3), ("video", ["v"]), ("cover", {}), ("category", 1), ("category", ["a"]), ("group", True),
        ("tags", "a, b"), ("tags", ["a", 1]), ("tags", {"a": 1}), ("duration_seconds", True),
        ("duration_seconds", [1]), ("split", 1),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_named(name: str, value: object) -> None:
    code, detail = refused(**{name: value})
    assert code == "wrong_type"
    assert detail.startswith(name)


def test_the_clip_of_a_refused_field_is_known() -> None:
    with pytest.raises(RowError) as caught:
        parse(text=3)
    assert caught.value.clip_id == "a"


def test_a_split_is_one_of_three() -> None:
    assert [parse(split=name).split for name in ("Training", "dev", "valid", " test ")] == [
        "train", "validation", "validation", "test",
    ]  # fmt: skip
    assert refused(split="holdout")[0] == "bad_value"


@pytest.mark.parametrize(
    ("value", "checksum"),
    [
        ("A" * 64, "sha256:" + "a" * 64),
        (" SHA256:" + "0f" * 32, "sha256:" + "0f" * 32),
        ("0f" * 16, "md5:" + "0f" * 16),
        ("md5:" + "0f" * 16, "md5:" + "0f" * 16),
        ("", ""),
        (None, ""),
    ],
)
def test_checksums(value: object, checksum: str) -> None:
    assert parse(video_checksum=value).video_checksum == checksum
    assert parse(cover_checksum=value).cover_checksum == checksum


@pytest.mark.parametrize(
    "value", ["g" * 64, "a" * 63, "md5:" + "a" * 64, "sha256:" + "a" * 32, "sha1:" + "a" * 40, "a" * 40, "٠" * 64]
)
def test_checksums_that_are_none(value: str) -> None:
    code, detail = refused(video_checksum=value)
    assert (code, detail.startswith("video_checksum is ")) == ("bad_value", True)


def test_without_a_field_for_tags_the_category_is_the_tag() -> None:
    names = FIELD_MAPS["xinpianchang"]
    record = parse_row({"mp4_id": 1, "video_label": "x"}, names, str.upper)
    assert (record.category, record.tags) == ("X", ("X",))
    assert parse_row({"mp4_id": 1, "video_label": " "}, names) == ClipRecord("1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(PLAIN.values())), JSON))
def test_any_row_is_a_record_that_utf8_holds_or_a_row_error(row: dict[str, object]) -> None:
    try:
        record = parse_row(row, PLAIN)
    except RowError as error:
        code = error.code
    else:
        code = ""
        line = record.to_line()
        assert "\0" not in line
        assert ClipRecord.from_line(line.encode("utf-8").decode("utf-8")) == record
    assert code in {"", "missing_id", "bad_id", "wrong_type", "bad_value"}
