from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from features.base.errors import ClipError, ToolError
from features.base.parallel import StoppedError
from features.base.process import MAX_KEPT_BYTES, MAX_STDERR_BYTES, Completed, Limits, run


def shell(script: str, *, timeout_seconds: float = 20.0, max_stdout_bytes: int = 1 << 30, **options: Any) -> Completed:  # noqa: ANN401 - of any type
    return run(["/bin/sh", "-c", script], Limits(timeout_seconds, max_stdout_bytes), **options)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def test_output_messages_and_exit_code_come_back() -> None:
    assert shell("echo out; echo words >&2; exit 3") == Completed(3, b"out\n", "words\n")
    assert shell("kill -9 $$").returncode == -9


def test_the_program_sees_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "key")
    assert run(["/usr/bin/env"], Limits(10)).stdout == b""


def test_output_can_go_to_a_file() -> None:
    with tempfile.TemporaryFile() as file:
        done = shell("echo out; echo words >&2", output=file)
        assert done == Completed(0, b"", "words\n")
        file.seek(0)
        assert file.read() == b"out\n"


def test_the_time_that_the_processor_spent_is_counted() -> None:
    assert shell("sleep 0.3").cpu_seconds < 0.1
    busy = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    assert 0.02 < busy.cpu_seconds < 10


def test_memory_and_files_have_limits() -> None:
    program = "try:\n x = bytearray(600 << 20)\nexcept MemoryError:\n print('no memory')"
    limits = Limits(20, max_memory_bytes=500 << 20)
    # The limits come into force just after the start.
    command = [sys.executable, "-c", f"import time; time.sleep(0.2)\n{program}"]
    assert run(command, limits).stdout == b"no memory\n"
    assert run(command, Limits(20)).stdout == b""


def test_a_limited_program_writes_no_file(tmp_path: Path) -> None:
    limits = Limits(20, max_memory_bytes=500 << 20)
    run(["/bin/sh", "-c", "sleep 0.2; echo text > file"], limits, folder=tmp_path)
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("script", ["sleep 60", "(sleep 60 & sleep 60) & sleep 60", "trap '' TERM HUP; sleep 60"])
def test_a_silent_program_dies_with_a_parent_that_is_killed(tmp_path: Path, script: str) -> None:
    code = (
        "import sys; from pathlib import Path; from features.base.process import Limits, run\n"
        "run(['/bin/sh', '-c', sys.argv[2]], Limits(60), folder=Path(sys.argv[1]))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), f"echo $$ > pid; {script}"], cwd=Path(__file__).parents[3]
    )
    deadline = time.monotonic() + 20
    while not (pid := (tmp_path / "pid").read_text().strip() if (tmp_path / "pid").exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    group = int(pid)
    assert members(group)
    parent.kill()
    parent.wait()
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not members(group)


def members(group: int) -> list[int]:
    """Return the living processes of a group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(its_group) == group and state != "Z":
                found.append(int(folder.name))
    return found


def test_a_folder_can_be_named(tmp_path: Path) -> None:
    shell("echo here > file", folder=tmp_path)
    assert (tmp_path / "file").read_text() == "here\n"


def test_standard_input_is_empty_or_what_is_given() -> None:
    assert shell("cat").stdout == b""
    data = bytes(range(256)) * 4000
    assert shell("cat", stdin=data).stdout == data


def test_a_program_that_does_not_read_its_input_is_no_error() -> None:
    assert shell("exit 0", stdin=b"x" * 5_000_000).returncode == 0


def test_output_beyond_the_limit_stops_the_program() -> None:
    started = time.monotonic()
    with pytest.raises(ClipError, match="output_too_large: decoding gave more than 100,000 bytes"):
        shell("yes", max_stdout_bytes=100_000)
    assert time.monotonic() - started < 10
    assert len(shell("head -c 100000 /dev/zero", max_stdout_bytes=100_000).stdout) == 100_000


def test_a_flood_of_messages_neither_blocks_nor_fills_memory() -> None:
    done = shell("echo first >&2; head -c 5000000 /dev/zero | tr '\\0' x >&2; echo last >&2; echo out")
    assert done.stdout == b"out\n"
    assert len(done.stderr) == MAX_STDERR_BYTES
    assert done.stderr.startswith("first\nxx")
    assert done.stderr.endswith("xxlast\n")


def test_named_lines_are_kept_where_there_are_too_many_messages() -> None:
    script = (
        f"yes aaaa | head -c {2 * MAX_STDERR_BYTES}; echo; echo 'key: 1'; yes bbbb | head -c {2 * MAX_STDERR_BYTES}"
    )
    limits = Limits(20, kept_lines=re.compile(rb"key: "))
    text = run(["/bin/sh", "-c", f"{{ {script}; echo; echo 'key: 2'; }} >&2"], limits).stderr
    assert text.startswith("aaaa\n")
    assert [line for line in text.splitlines() if line.startswith("key")] == ["key: 1", "key: 2"]
    many = run(["/bin/sh", "-c", f"yes 'key: 3' | head -c {9 * MAX_STDERR_BYTES} >&2"], limits).stderr
    assert MAX_STDERR_BYTES < len(many) <= MAX_STDERR_BYTES + MAX_KEPT_BYTES


def test_messages_that_are_no_utf8_are_no_error() -> None:
    assert shell("printf 'a\\377b' >&2").stderr == "a\ufffdb"


def test_a_late_program_is_killed_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ClipError, match=r"decode_timeout: sh ran longer than 0\.5 s"):
        shell(
            "(sleep 60 & echo $! > grandchild; sleep 60) & echo $! > child; sleep 60",
            timeout_seconds=0.5,
            folder=tmp_path,
        )
    assert time.monotonic() - started < 10
    for name in ("child", "grandchild"):
        assert wait_for_end(int((tmp_path / name).read_text()))


@pytest.mark.parametrize("pipes", [">/dev/null", ">/dev/null 2>&1"])
def test_what_a_program_leaves_behind_is_killed_and_does_not_hold_us(tmp_path: Path, pipes: str) -> None:
    started = time.monotonic()
    assert shell(f"sleep 60 {pipes} & echo $! > child", folder=tmp_path).returncode == 0
    assert time.monotonic() - started < 10
    assert wait_for_end(int((tmp_path / "child").read_text()))


def test_output_that_a_child_holds_open_is_waited_for_until_the_time_is_up(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="decode_timeout"):
        shell("sleep 60 & echo $! > child", timeout_seconds=0.5, folder=tmp_path)
    assert wait_for_end(int((tmp_path / "child").read_text()))


def test_a_program_that_closed_its_output_is_still_bound_by_the_time() -> None:
    with pytest.raises(ClipError, match="decode_timeout"):
        shell("exec >&- 2>&-; sleep 60", timeout_seconds=0.5)


def test_a_program_that_is_not_there_or_cannot_run_is_a_tool_error(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    for path in (tmp_path / "missing", text):
        with pytest.raises(ToolError, match=r"cannot start .*; name an executable in \[decode\] ffmpeg"):
            run([str(path)], Limits(5))


def test_a_program_that_is_no_longer_wanted_ends_soon() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()

    with pytest.raises(StoppedError):
        run(["/bin/sleep", "60"], Limits(60, stop=stop))

    assert time.monotonic() - started < 10


def test_a_program_ends_once_its_first_messages_are_enough() -> None:
    asked: list[str] = []

    def enough(messages: str) -> bool | None:
        asked.append(messages)
        return "second" in messages or None

    script = "echo first >&2; sleep 0.1; echo second >&2; sleep 30"
    before = time.monotonic()
    done = run(["/bin/sh", "-c", script], Limits(timeout_seconds=20), enough=enough)
    assert done.was_enough
    assert time.monotonic() - before < 10
    assert asked == ["first\n", "first\nsecond\n"]


def test_messages_that_say_nothing_of_interest_are_not_asked_about_again() -> None:
    asked: list[str] = []

    def enough(messages: str) -> bool:
        asked.append(messages)
        return False

    done = run(
        ["/bin/sh", "-c", "echo first >&2; sleep 0.1; echo second >&2"], Limits(timeout_seconds=20), enough=enough
    )
    assert (done.returncode, done.was_enough, done.stderr) == (0, False, "first\nsecond\n")
    assert asked == ["first\n"]
