from __future__ import annotations

import logging
import sys

import pytest

from features.base.errors import SettingError, ShardError, SourceError, StageFailedError
from tasks.core.console import UNUSABLE_SETTINGS, OneLineErrors, say


class _Task:
    task_family = "Extract"
    modality = "audio"


def _record(level: int, message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error is not None else None
    return logging.LogRecord("test-console", level, "file", 1, message, args, info)


def _failure(error: BaseException) -> logging.LogRecord:
    return _record(logging.ERROR, "[pid %s] Worker %s failed    %s", 1, "w", _Task(), error=error)


def test_an_error_of_ours_is_one_line_without_traceback() -> None:
    record = _failure(SettingError("max_frames is 0:\n give more"))

    assert OneLineErrors().filter(record)
    assert record.getMessage() == "Extract --modality audio failed: max_frames is 0: give more"
    assert record.exc_info is None


def test_a_foreign_error_keeps_its_traceback() -> None:
    try:
        raise ZeroDivisionError("a bug")  # noqa: TRY301 - it needs a traceback
    except ZeroDivisionError as error:
        record = _failure(error)
        record.exc_info = sys.exc_info()

    assert OneLineErrors().filter(record)
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt()])
def test_a_stop_is_not_explained(error: BaseException) -> None:
    assert not OneLineErrors().filter(_failure(error))


def test_luigis_chatter_is_dropped_and_its_summary_kept() -> None:
    rule = OneLineErrors()

    assert not rule.filter(_record(logging.INFO, "Informed scheduler that task %s", "x"))
    assert rule.filter(_record(logging.INFO, "\n===== Luigi Execution Summary =====\n"))
    assert rule.filter(_record(logging.WARNING, "disk nearly full"))


def test_at_debug_level_everything_is_shown() -> None:
    logger = logging.getLogger("test-console")
    logger.setLevel(logging.DEBUG)
    try:
        assert OneLineErrors().filter(_record(logging.INFO, "Informed scheduler"))
    finally:
        logger.setLevel(logging.NOTSET)


def test_the_stage_is_named_as_it_is_called_on_the_command_line() -> None:
    def shown(task: object) -> str:
        record = _record(logging.ERROR, "[pid %s] Worker %s failed    %s", 1, "w", task, error=SettingError("no"))
        assert OneLineErrors().filter(record)
        return record.getMessage()

    class Plain:
        task_family = "Train"

    assert shown(Plain()) == "Train failed: no"
    assert shown("Train__99914b932b") == "Train__99914b932b failed: no"
    assert shown("") == "a stage failed: no"
    # Errors that Luigi logs without the task, while it asks whether something is complete.
    record = _record(logging.WARNING, "Will not run %s", "x", error=SettingError("no"))
    assert OneLineErrors().filter(record)
    assert record.getMessage() == "a stage failed: no"


@pytest.mark.parametrize("error", [SettingError("a"), SourceError("a"), StageFailedError("a"), ShardError("a")])
def test_every_error_of_the_tree_is_one_line(error: Exception) -> None:
    record = _failure(error)
    assert OneLineErrors().filter(record)
    assert record.getMessage() == "Extract --modality audio failed: a"
    assert (record.exc_info, record.exc_text) == (None, None)


def test_what_luigi_says_of_missing_data_was_said_before() -> None:
    rule = OneLineErrors()
    assert not rule.filter(_record(logging.WARNING, "Data for %s does not exist (yet?).", "ManifestFile"))
    assert rule.filter(_record(logging.ERROR, "Uncaught exception in luigi"))


def test_a_line_for_a_person_goes_to_stderr_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    say("decode  5 of 9")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "decode  5 of 9\n")
    assert UNUSABLE_SETTINGS == 40
