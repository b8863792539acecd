from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tasks.core.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_than_on_a_terminal_a_plain_line_comes_now_and_then(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("decode", 1000, tmp_path) as progress:
        clock[0] += 5.0
        for _ in range(40):
            clock[0] += 1.0
            progress.advance(5)

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "decode          50 of 1,000 clips  5.0 clips/s  190 s left",
        "decode          125 of 1,000 clips  5.0 clips/s  175 s left",
        "decode          200 of 1,000 clips  5.0 clips/s  160 s left",
    ]
    assert json.loads((tmp_path / "progress.json").read_text(encoding="utf-8")) == {
        "done": 200,
        "seconds": 45.0,
        "stage": "decode",
        "total": 1000,
    }


def test_the_file_of_a_killed_stage_tells_how_far_it_came(tmp_path: Path, clock: list[float]) -> None:
    def stage() -> None:
        with Progress("decode", 10, tmp_path) as progress:
            clock[0] += 3.0
            progress.advance(4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage()

    assert json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))["done"] == 4
