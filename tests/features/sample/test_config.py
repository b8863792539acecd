import pytest

from features.base.errors import SettingError
from features.sample.config import SampleConfig


def test_defaults_are_valid() -> None:
    assert SampleConfig().num_clips == 240


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_clips": 23}, r"num_clips = 23 .* use 24 to 10000"),
        ({"seed": -1}, r"seed = -1 .* out of range"),
        ({"width": 63}, r"width = 63 .* out of range"),
        ({"width": 101}, r"width = 101 .* is odd; use 100 or 102"),
        ({"height": 4000}, r"height = 4000 .* out of range"),
        ({"frames_per_second": 2}, r"frames_per_second = 2 .* out of range"),
        ({"frames_per_second": 15}, r"frames_per_second = 15 .* is odd"),
    ],
)
def test_bad_values_are_named(values: dict[str, int], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SampleConfig(**values)
