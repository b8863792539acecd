"""Tables whose columns stand straight on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.base.text import display_width, shorten
from models.rendering.terminal_table import render_table


def test_a_table_with_chinese_titles() -> None:
    table = render_table(["title", "clips", "AP"], [["城市 night", 7, 0.5], ["sea", 120, None]])
    assert table.splitlines() == [
        "title       clips   AP",
        "----------  -----  ---",
        "城市 night      7  0.5",
        "sea           120    -",
    ]


def test_a_column_with_one_word_is_aligned_left() -> None:
    assert render_table(["n"], [[10], ["many"]]).splitlines() == ["n", "----", "10", "many"]


def test_an_empty_table_is_its_headers() -> None:
    assert render_table(["stage", "ok"], []) == "stage  ok\n-----  --"


def test_no_cell_can_break_the_line_or_reach_the_terminal() -> None:
    assert render_table(["a"], [["x\ny\x1b[31m\u202ez"]]).splitlines()[2:] == ["x y [31m z"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        render_table(["a", "b"], [["only one"]])


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("猫a", 3), ("e\u0301", 1), ("ｆ", 2), ("🎬", 2)])
def test_display_width(text: str, width: int) -> None:
    assert display_width(text) == width


def test_shorten() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
    assert shorten("城市夜景", 6) == "城市…"  # a third one would end in column 7


@given(st.text(), st.integers(1, 12))
def test_shorten_never_exceeds_the_width(text: str, max_width: int) -> None:
    assert display_width(shorten(text, max_width)) <= max_width


@given(st.lists(st.tuples(st.text(), st.integers()), min_size=1))
def test_every_line_has_the_second_column_at_one_place(rows: list[tuple[str, int]]) -> None:
    lines = render_table(["text", "number"], rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert len({display_width(line) for line in lines}) == 1
