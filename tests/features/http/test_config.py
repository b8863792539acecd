from __future__ import annotations

from typing import Any

import pytest

from features.base.errors import SettingError
from features.http.config import HttpConfig


@pytest.mark.parametrize(
    "name",
    ["max_bytes", "timeout_seconds", "max_seconds", "max_attempts", "connections_per_host", "speed_window_seconds"],
)
def test_limits_are_above_zero(name: str) -> None:
    for value in (0, float("nan")):
        values: dict[str, Any] = {name: value}
        with pytest.raises(SettingError, match=f"{name} is {value}: give a number above 0"):
            HttpConfig(**values)


@pytest.mark.parametrize(
    "name", ["max_redirects", "requests_per_second_per_host", "max_retry_after_seconds", "min_bytes_per_second"]
)
def test_zero_switches_others_off(name: str) -> None:
    values: dict[str, Any] = {name: 0}
    HttpConfig(**values)
    values[name] = -1
    with pytest.raises(SettingError, match=f"{name} is -1: give a number of at least 0"):
        HttpConfig(**values)


@pytest.mark.parametrize("name", ["a\r\nHost: other", "a\n", "名", "\x7f"])
def test_a_user_agent_is_one_line_of_ascii(name: str) -> None:
    with pytest.raises(SettingError, match="give one line of printable ASCII"):
        HttpConfig(user_agent=name)
