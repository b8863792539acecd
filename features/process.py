"""Runs one external program with bounds: on its time, its output, and on what it can see of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from features.errors import ClipError, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHUNK_BYTES = 1 << 16
# What ffmpeg has to say of one clip fits in far less; a damaged file can make it print megabytes.
MAX_STDERR_BYTES = 1 << 16


@dataclass(frozen=True)
class Completed:
    """What a program left behind."""

    returncode: int
    stdout: bytes
    stderr: str


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    stdin: bytes | None = None,
    max_stdout_bytes: int = 1 << 30,
    folder: Path | None = None,
) -> Completed:
    """Return what ``argv`` printed and its exit code, which is not judged here.

    The program runs in a session of its own, with an empty environment and in a private folder (or in
    ``folder``). Past ``timeout_seconds`` or ``max_stdout_bytes``, and when it ends, whatever is left of its
    process group is killed. Of its standard error the first half and the last half of 64 KiB are kept.

    Raises:
        ToolError: The program cannot be started.
        ClipError: ``decode_timeout`` or ``output_too_large``.
    """
    with tempfile.TemporaryDirectory(prefix="clip-") as private:
        process = _start(argv, stdin is not None, str(folder or private))
        return _collect(process, argv[0], stdin, timeout_seconds, max_stdout_bytes)


def _start(argv: Sequence[str], has_stdin: bool, folder: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot start {argv[0]}: {error.strerror}; name an executable in [decode] ffmpeg") from error


def _collect(
    process: subprocess.Popen[bytes],
    name: str,
    stdin: bytes | None,
    timeout_seconds: float,
    max_stdout_bytes: int,
) -> Completed:
    late = threading.Event()

    def stop_late() -> None:
        late.set()
        _kill_group(process)

    timer = threading.Timer(timeout_seconds, stop_late)
    messages = _Messages()
    threads: list[threading.Thread] = [timer, threading.Thread(target=messages.read, args=(process.stderr,))]
    if stdin is not None:
        threads.append(threading.Thread(target=_feed, args=(process.stdin, stdin)))
    try:
        for thread in threads:
            thread.start()
        stdout = _read_bounded(process, max_stdout_bytes)
        # Waits without taking the exit code, so that the group cannot be another program's by now.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    finally:
        timer.cancel()
        # A child that the program left behind could hold the pipes open for ever.
        _kill_group(process)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    if late.is_set():
        raise ClipError("decode_timeout", f"{os.path.basename(name)} ran longer than {timeout_seconds:g} s")  # noqa: PTH119
    return Completed(process.returncode, stdout, messages.text())


def _read_bounded(process: subprocess.Popen[bytes], max_bytes: int) -> bytes:
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    parts: list[bytes] = []
    total = 0
    while chunk := process.stdout.read(CHUNK_BYTES):
        total += len(chunk)
        if total > max_bytes:
            raise ClipError("output_too_large", f"decoding gave more than {max_bytes:,} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    assert stream is not None  # noqa: S101 - opened as a pipe above
    # A broken pipe: the program stopped reading; its exit code tells why.
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Messages:
    """Keeps the beginning and the end of a stream, and drains it so that the writer never blocks."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""

    def read(self, stream: IO[bytes]) -> None:
        half = MAX_STDERR_BYTES // 2
        while chunk := stream.read1(4096) if hasattr(stream, "read1") else stream.read(4096):
            room = max(0, half - len(self._head))
            self._head += chunk[:room]
            self._tail = (self._tail + chunk[room:])[-half:]

    def text(self) -> str:
        return (self._head + self._tail).decode("utf-8", "replace")
