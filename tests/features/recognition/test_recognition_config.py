from __future__ import annotations

from typing import Any

import pytest

from features.base.errors import SettingError
from features.recognition.recognition_config import OcrConfig


def test_nothing_is_read_by_default() -> None:
    assert OcrConfig().backbone == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "rapidocr"}, "unknown ocr backbone 'rapidocr': expected one of rapidocr:PP-OCRv6, or nothing"),
        ({"interval_seconds": -1.0}, "interval_seconds -1.0 must be 0 or more"),
        ({"interval_seconds": float("nan")}, "interval_seconds nan must be 0 or more"),
        ({"interval_seconds": float("inf")}, "interval_seconds inf must be 0 or more, and finite"),
        ({"min_confidence": 1.1}, "min_confidence 1.1 must be between 0 and 1"),
        ({"min_confidence": float("nan")}, "min_confidence nan must be between 0 and 1"),
        ({"longest_side": 0}, "longest_side 0 must be between 64 and 4096 pixels"),
        ({"longest_side": 5000}, "longest_side 5000 must be between 64 and 4096 pixels"),
        ({"num_threads": 0}, "num_threads 0 must be at least 1"),
    ],
)
def test_values_that_cannot_be_used_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        OcrConfig(**changes)
