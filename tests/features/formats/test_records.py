import json

from hypothesis import given
from hypothesis import strategies as st

from features.formats.records import ClipRecord

# Any text that UTF-8 can hold.
TEXTS = st.text(st.characters(codec="utf-8"))
RECORDS = st.builds(
    ClipRecord,
    clip_id=TEXTS,
    video=TEXTS,
    title=TEXTS,
    category=st.none() | TEXTS,
    tags=st.none() | st.lists(TEXTS).map(tuple),
    duration_seconds=st.none() | st.floats(0, 1e6),
    group=TEXTS,
    video_checksum=TEXTS,
)


@given(RECORDS)
def test_a_record_is_one_line_and_comes_back(record: ClipRecord) -> None:
    line = record.to_line()
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert ClipRecord.from_line(line) == record


def test_a_line_is_canonical_json() -> None:
    line = ClipRecord("7", title="猫", tags=("b", "a")).to_line()
    assert "猫" in line
    assert list(json.loads(line)) == sorted(json.loads(line))
    assert json.loads(line)["tags"] == ["b", "a"]


def test_no_tags_and_unknown_tags_stay_different() -> None:
    assert ClipRecord.from_line(ClipRecord("a", tags=()).to_line()).tags == ()
    assert ClipRecord.from_line(ClipRecord("a").to_line()).tags is None


def test_a_line_of_an_older_record_reads_with_what_it_has() -> None:
    assert ClipRecord.from_line('{"clip_id": "a", "tags": null}') == ClipRecord("a")
