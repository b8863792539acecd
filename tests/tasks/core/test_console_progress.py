from __future__ import annotations

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tasks.core.console import Progress

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


def test_the_rate_counts_from_the_first_clip_on(clock: list[float]) -> None:
    progress = Progress("extract-frames", 100, None)
    assert progress.line() == "extract-frames  0 of 100 clips  0.0 clips/s  starting"
    clock[0] += 60.0
    progress.advance(10)
    # A minute of loading is no speed.
    assert progress.line() == "extract-frames  10 of 100 clips  0.0 clips/s  starting"
    clock[0] += 2.0
    progress.advance(20)
    assert progress.line() == "extract-frames  30 of 100 clips  10.0 clips/s  7 s left"


def test_bytes_are_a_rate_beside_the_clips_and_a_number_in_the_file(tmp_path: Path, clock: list[float]) -> None:
    with Progress("download", 4, tmp_path, unit="row") as progress:
        progress.advance()
        clock[0] += 2.0
        progress.add_bytes(3_000_000)
        progress.add_bytes(1_000_000)
        progress.advance()
        assert progress.line() == "download        2 of 4 rows  0.5 rows/s  2.0 MB/s  4 s left"

    row = json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))
    assert row == {"stage": "download", "done": 2, "total": 4, "seconds": 2.0, "bytes": 4_000_000}


def test_the_file_is_written_at_the_start_and_every_two_seconds(tmp_path: Path, clock: list[float]) -> None:
    def done() -> int:
        return int(json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))["done"])

    with Progress("decode", 9, tmp_path) as progress:
        assert done() == 0
        progress.advance()
        assert done() == 0
        clock[0] += 2.0
        progress.advance()
        assert done() == 2
        progress.advance()
        assert done() == 2
    assert done() == 3


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Progress("decode", 9, None) as progress:
        progress.advance(9)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_at_the_end_does_not_hide_what_ended_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stage() -> None:
        with Progress("decode", 9, tmp_path):
            monkeypatch.setattr("tasks.core.console.publish_json", full)
            raise ZeroDivisionError

    def full(path: Path, value: object) -> None:
        raise OSError("No space left on device")

    with pytest.raises(ZeroDivisionError):
        stage()


def test_counts_of_several_threads_add_up(tmp_path: Path) -> None:
    def advance() -> None:
        for _ in range(1000):
            progress.advance()

    with Progress("decode", 4000, tmp_path) as progress, ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(advance)
    assert json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))["done"] == 4000


def test_a_terminal_has_a_bar_and_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    with Progress("decode", 8, None) as progress:
        progress.add_bytes(5_000_000)
        progress.advance(8)
        assert progress._bar is not None
        assert progress._bar.n == 8
        assert "MB/s" in str(progress._bar.postfix)

    assert "decode" in stream.getvalue()
    assert "8/8" in stream.getvalue()
    assert "of 8 clips" not in stream.getvalue()
