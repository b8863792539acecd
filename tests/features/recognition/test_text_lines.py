from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.recognition.recognizer import Recognition, Segment
from features.recognition.text_lines import Line, in_reading_order, letters_and_digits, merged_over_time


def _line(text: str, confidence: float = 0.9, left: float = 0.0, top: float = 0.0, height: float = 10.0) -> Line:
    return Line(text, confidence, left, top, top + height)


def _merged(*pictures: list[str]) -> Recognition:
    return merged_over_time((float(second), [_line(text) for text in texts]) for second, texts in enumerate(pictures))


def _spans(found: Recognition) -> list[tuple[float, float, str]]:
    return [(segment.start_seconds, segment.end_seconds, segment.text) for segment in found.segments]


def test_rows_go_from_the_top_and_in_a_row_from_the_left() -> None:
    lines = [
        _line("right", left=200, top=3),
        _line("below", left=0, top=14),
        _line("left", left=10, top=0),
        _line("middle", left=100, top=-4),
        _line("last", left=50, top=40),
    ]
    for shuffled in itertools.permutations(lines):
        assert [line.text for line in in_reading_order(shuffled)] == ["left", "middle", "right", "below", "last"]


def test_small_lines_close_to_each_other_stay_in_rows_of_their_own() -> None:
    lines = [_line(str(number), left=100 - 10 * number, top=8 * number, height=7) for number in range(6)]
    assert [line.text for line in in_reading_order(lines[::-1])] == ["0", "1", "2", "3", "4", "5"]


def test_a_line_that_stays_is_one_segment() -> None:
    found = _merged(["Hello world"], ["Hello world", "more"], ["Hello world"], [])
    assert _spans(found) == [(0.0, 2.0, "Hello world"), (1.0, 1.0, "more")]
    assert found.text == "Hello world\nmore"


def test_of_nearly_equal_readings_the_surest_counts() -> None:
    readings = [("Hel1o world", 0.95), ("hello  wor1d", 0.5), ("Hello world!", 0.9)]
    found = merged_over_time((float(n), [_line(text, sure)]) for n, (text, sure) in enumerate(readings[1:]))
    assert found.segments == (Segment(0.0, 0.0, "hello  wor1d", 0.5), Segment(1.0, 1.0, "Hello world!", 0.9))
    letters = [("Hella world", 0.5), ("HELLO world", 0.9), ("Hello warld", 0.7)]
    found = merged_over_time((float(n), [_line(text, sure)]) for n, (text, sure) in enumerate(letters))
    assert found.segments == (Segment(0.0, 2.0, "HELLO world", 0.9),)


@pytest.mark.parametrize(
    ("one", "other"),
    [("episode 12", "episode 13"), ("12:00", "12:01"), ("海边日出", "海边日落"), ("dog", "dig"), ("left", "right")],
)
def test_lines_with_other_digits_or_too_few_common_letters_are_two(one: str, other: str) -> None:
    assert _spans(_merged([one], [other])) == [(0.0, 0.0, one), (1.0, 1.0, other)]


def test_one_missed_picture_does_not_end_a_line_and_two_do() -> None:
    assert _spans(_merged(["live"], [], ["live"])) == [(0.0, 2.0, "live")]
    found = _merged(["live"], [], [], ["LIVE"])
    assert _spans(found) == [(0.0, 0.0, "live"), (3.0, 3.0, "LIVE")]
    assert found.text == "live"


def test_two_equal_lines_of_one_picture_are_two_segments_and_one_line_of_text() -> None:
    found = _merged(["menu", "menu"], ["menu", "menu"])
    assert _spans(found) == [(0.0, 1.0, "menu"), (0.0, 1.0, "menu")]
    assert found.text == "menu"


def test_lines_without_letters_and_digits_are_left_out() -> None:
    assert _merged(["--- !", "|", "…", "好"]) == Recognition("好", (Segment(0.0, 0.0, "好", 0.9),))


def test_no_pictures_and_no_lines_give_no_text() -> None:
    assert _merged() == Recognition("", ())
    assert _merged([], [], []) == Recognition("", ())


WORDS = st.lists(st.sampled_from(["alpha", "bravo 7", "城市夜景", "charlie", "海边跑步"]), max_size=4, unique=True)


@given(st.lists(WORDS, max_size=6), st.integers(1, 4))
def test_showing_every_picture_several_times_changes_the_times_only(pictures: list[list[str]], times: int) -> None:
    once = _merged(*pictures)
    often = _merged(*(texts for texts in pictures for _ in range(times)))
    if times == 1:
        assert often == once
    assert often.text == once.text
    assert set(often.text.split("\n")) - {""} == {text for texts in pictures for text in texts}


@given(st.lists(WORDS, max_size=8))
def test_segments_lie_in_the_clip_and_begin_in_order(pictures: list[list[str]]) -> None:
    spans = _spans(_merged(*pictures))
    starts = [start for start, _, _ in spans]
    assert starts == sorted(starts)
    assert all(0 <= start <= end < len(pictures) for start, end, _ in spans)


def test_width_and_case_do_not_count() -> None:
    assert letters_and_digits("ＡＢＣ　１２ - Straße!") == "abc12strasse"
