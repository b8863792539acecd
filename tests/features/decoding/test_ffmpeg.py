from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from features.base.errors import SettingError, ToolError
from features.decoding.config import DecodeConfig
from features.decoding.ffmpeg import ffmpeg_version, find_ffmpeg
from tests.features.media import fake_program, ffmpeg

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "values",
    [
        {"codec": "h265"}, {"sampling": "quick"}, {"frames_per_second": 0}, {"max_seconds": -1},
        {"timeout_seconds": 0}, {"max_frames": 0}, {"max_pixels": 0}, {"frames_per_second": float("nan")},
        {"short_side_pixels": 8}, {"max_failed_fraction": 1.5}, {"num_frames": -1}, {"num_frames": 601},
        {"memory_megabytes": 0}, {"max_process_megabytes": 100}, {"workers": -1},
    ],
)  # fmt: skip
def test_bad_settings_are_named_with_their_value(values: dict[str, Any]) -> None:
    ((name, value),) = values.items()
    with pytest.raises(SettingError, match=rf"{name} .*{value}"):
        DecodeConfig(**values)


def test_the_packaged_binary_is_the_default() -> None:
    assert find_ffmpeg("") == ffmpeg()
    assert int(ffmpeg_version(ffmpeg()).lstrip("n").partition(".")[0]) >= 5


def test_a_setting_names_a_file_or_a_program_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = fake_program(tmp_path / "ffmpeg", "echo ffmpeg version 6.1.1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg(program) == program
    find_ffmpeg.cache_clear()
    assert find_ffmpeg("ffmpeg") == program
    find_ffmpeg.cache_clear()


def test_a_relative_path_becomes_absolute_since_programs_start_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools").mkdir()
    program = fake_program(tmp_path / "tools" / "own-ffmpeg", "echo ffmpeg version 6.1.1")
    monkeypatch.chdir(tmp_path)
    assert find_ffmpeg("tools/own-ffmpeg") == program
    assert ffmpeg_version(find_ffmpeg("tools/own-ffmpeg")) == "6.1.1"


def test_a_binary_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    for setting in (str(tmp_path / "missing"), str(text), str(tmp_path)):
        with pytest.raises(ToolError, match=rf"^ffmpeg is not an executable at '{setting}': correct \[decode\] ffmpeg"):
            find_ffmpeg(setting)


def test_a_program_that_is_no_ffmpeg_is_one_clear_line() -> None:
    with pytest.raises(ToolError, match=r"^/bin/echo does not look like ffmpeg, it says '-version': set \[decode\]"):
        ffmpeg_version("/bin/echo")


@pytest.mark.parametrize("version", ["4.4.1-0ubuntu", "n5.0", "3.4", "5.0.3"])
def test_an_old_version_is_one_clear_line(tmp_path: Path, version: str) -> None:
    program = fake_program(tmp_path / "ffmpeg", f"echo 'ffmpeg version {version} Copyright (c) 2000-2021'")
    with pytest.raises(ToolError, match=rf"is ffmpeg {version}, older than 5\.1: set \[decode\] ffmpeg$"):
        ffmpeg_version(program)


@pytest.mark.parametrize("version", ["5.1", "n5.1.6-0+deb12u1", "6.0", "7.0.2-static", "10.0"])
def test_the_version_is_what_the_program_says(tmp_path: Path, version: str) -> None:
    program = fake_program(tmp_path / "ffmpeg", f"echo 'ffmpeg version {version} Copyright (c) 2000-2030'")
    assert ffmpeg_version(program) == version


def test_a_program_without_an_answer_is_a_tool_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = fake_program(tmp_path / "ffmpeg", "exit 1")
    with pytest.raises(ToolError, match="does not look like ffmpeg, it says ''"):
        ffmpeg_version(program)
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    with pytest.raises(ToolError, match="cannot start"):
        ffmpeg_version(str(text))
