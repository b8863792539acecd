"""Numbers of the report in words."""

import pytest

from models.rendering.html_page import difference, seconds_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.44, "0.4 s"), (75.2, "75 s"), (119.9, "120 s"), (700, "12 min"), (12_000, "3 h 20 min")],
)
def test_durations_in_words(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


def test_a_difference_too_small_to_show_has_no_direction() -> None:
    assert difference(-0.0004) == "<span>±0.000</span>"
    assert difference(0.02) == '<span class="up">+0.020</span>'
