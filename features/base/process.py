"""Runs one external program with bounds: on its time, memory and output, and on what it can see of this machine.

And lets a process end with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from features.base.errors import ClipError, ToolError
from features.base.parallel import StoppedError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

CHUNK_BYTES = 1 << 16
SECONDS_BETWEEN_LOOKS = 0.25
# ffmpeg writes each line of its log by itself. Without the pause this process would wake up for each of them.
SECONDS_BETWEEN_READS = 0.002
# ffmpeg's log of one clip is far shorter; a damaged file can make it print megabytes.
MAX_STDERR_BYTES = 1 << 16
# Of the middle part, the lines that the caller names.
MAX_KEPT_BYTES = 1 << 14


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Attributes:
        timeout_seconds: Wall-clock time.
        max_stdout_bytes: Output.
        max_memory_bytes: Private memory that it can write; 0 = no limit. A program with this limit may write no file
            either.
        stop: Set when the result is no longer needed.
        kept_lines: Messages that are kept also where there are too many; ``None`` = none.
    """

    timeout_seconds: float
    max_stdout_bytes: int = 1 << 30
    max_memory_bytes: int = 0
    stop: threading.Event | None = None
    kept_lines: re.Pattern[bytes] | None = None


@dataclass(frozen=True)
class Completed:
    """The result of a program.

    Attributes:
        returncode: Exit code, negative for a signal.
        stdout: Output, empty when it went to a file.
        stderr: At most 64 KiB of messages: the first and the last half; between them lines of ``Limits.kept_lines``.
        cpu_seconds: Processor time of the program itself.
        was_enough: Whether the program was ended because its first messages were enough.
    """

    returncode: int
    stdout: bytes
    stderr: str
    cpu_seconds: float = field(default=0.0, compare=False)
    was_enough: bool = False


def run(
    argv: Sequence[str],
    limits: Limits,
    *,
    stdin: bytes | None = None,
    output: IO[bytes] | None = None,
    folder: Path | None = None,
    enough: Callable[[str], bool | None] | None = None,
) -> Completed:
    """Return the output and the exit code of ``argv``; the exit code is not checked.

    The program runs in a session of its own, with an empty environment. Past a limit, and when it ends,
    the rest of its process group is killed. The group is also killed when this process ends, even by SIGKILL.

    Args:
        argv: The program, its path first, and its arguments.
        limits: What it may use.
        stdin: What it reads; ``None`` = nothing.
        output: File that takes its standard output instead of memory.
        folder: Where it runs; ``None`` = ``/``.
        enough: Called with the messages so far, at most the first 32 KiB, as long as it returns ``None``. The program
            is ended when it returns true.

    Raises:
        ToolError: The program cannot be started.
        ClipError: ``decode_timeout`` or ``output_too_large``.
        StoppedError: ``limits.stop`` was set.
    """
    kept = io.BytesIO() if output is None else output
    with _started(argv, stdin is not None, str(folder or "/")) as process:
        if limits.max_memory_bytes:
            _confine(process.pid, limits.max_memory_bytes)
        messages = _Messages(process, enough, limits.kept_lines)
        returncode, cpu_seconds = _collect(process, stdin, limits, kept, messages)
    content = kept.getvalue() if isinstance(kept, io.BytesIO) else b""
    return Completed(returncode, content, messages.text(), cpu_seconds, messages.were_enough)


@contextlib.contextmanager
def _started(argv: Sequence[str], has_stdin: bool, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the running program, whose process group the kernel kills when this process is gone.

    The program inherits the reading end of a pipe whose writing end is here only. When that one closes, the
    kernel sends the pipe's owner, which is the group, the signal that was chosen (``fcntl(2)``, ``F_SETSIG``).
    Unlike ``PR_SET_PDEATHSIG`` this needs no code between fork and exec, and the starting thread may end before it.
    """
    inherited, held = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},
                cwd=folder,
                start_new_session=True,
                pass_fds=(inherited,),
            )
        except OSError as error:
            raise ToolError(
                f"cannot start {argv[0]}: {error.strerror}; name an executable in [decode] ffmpeg"
            ) from error
        fcntl.fcntl(inherited, fcntl.F_SETOWN, -process.pid)
        fcntl.fcntl(inherited, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(inherited, fcntl.F_SETFL, fcntl.fcntl(inherited, fcntl.F_GETFL) | os.O_ASYNC)
        yield process
    finally:
        os.close(inherited)
        os.close(held)


def _confine(pid: int, max_memory_bytes: int) -> None:
    # It may have ended already. RLIMIT_AS would count the 64 MiB that glibc reserves for each thread, unused.
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_DATA, (max_memory_bytes, max_memory_bytes))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, 0))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _collect(
    process: subprocess.Popen[bytes], stdin: bytes | None, limits: Limits, output: IO[bytes], messages: _Messages
) -> tuple[int, float]:
    """Return exit code and CPU seconds of a program whose output goes to ``output``, its messages to ``messages``."""
    watch = _Watch(process, limits)
    threads = [threading.Thread(target=watch.run), threading.Thread(target=messages.read)]
    if stdin is not None:
        threads.append(threading.Thread(target=_feed, args=(process.stdin, stdin)))
    try:
        for thread in threads:
            thread.start()
        _copy_bounded(process, output, limits.max_stdout_bytes)
        # Waits without taking the exit code, so that the group cannot be another program's by now.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    finally:
        watch.ended.set()
        # A child of the program could keep the pipes open.
        _kill_group(process)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    if watch.stopped:
        raise StoppedError("the run was stopped")
    if watch.late:
        name = os.path.basename(str(process.args[0]))  # type: ignore[index] # noqa: PTH119 - a list of words
        raise ClipError("decode_timeout", f"{name} ran longer than {limits.timeout_seconds:g} s")
    return process.returncode, usage.ru_utime + usage.ru_stime


class _Watch:
    """Kills a program at its timeout, or when the run is stopped."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self._process = process
        self._until = time.monotonic() + limits.timeout_seconds
        self._stop = limits.stop
        self.ended = threading.Event()
        self.late = False
        self.stopped = False

    def run(self) -> None:
        """Watch until the program has ended."""
        while not self.ended.wait(max(0.0, min(SECONDS_BETWEEN_LOOKS, self._until - time.monotonic()))):
            self.stopped = self._stop is not None and self._stop.is_set()
            self.late = time.monotonic() >= self._until
            if self.stopped or self.late:
                _kill_group(self._process)
                return


def _copy_bounded(process: subprocess.Popen[bytes], output: IO[bytes], max_bytes: int) -> None:
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    total = 0
    while chunk := process.stdout.read1(CHUNK_BYTES):  # type: ignore[attr-defined] # buffered, as no bufsize is given
        total += len(chunk)
        if total > max_bytes:
            raise ClipError("output_too_large", f"decoding gave more than {max_bytes:,} bytes")
        output.write(chunk)


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    assert stream is not None  # noqa: S101 - opened as a pipe above
    # A broken pipe: the program stopped reading; its exit code shows why.
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Messages:
    """Keeps the beginning and the end of the messages, and drains them so that the program never blocks."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        enough: Callable[[str], bool | None] | None,
        kept_lines: re.Pattern[bytes] | None,
    ) -> None:
        self._process = process
        self._enough = enough
        self._kept_lines = kept_lines
        self._head = b""
        self._line = b""
        self._kept = b""
        self._tail = b""
        self.were_enough = False

    def read(self) -> None:
        """Read until the program has closed them."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 - opened as a pipe above
        half = MAX_STDERR_BYTES // 2
        while chunk := stream.read1(CHUNK_BYTES):  # type: ignore[attr-defined] # buffered, as no bufsize is given
            room = max(0, half - len(self._head))
            self._head += chunk[:room]
            tail = self._tail + chunk[room:]
            self._look_at(tail[:-half])
            self._tail = tail[-half:]
            answer = self._enough(self._decoded(self._head)) if room and self._enough is not None else None
            if answer is not None:
                self._enough, self.were_enough = None, answer
            if answer:
                _kill_group(self._process)
            time.sleep(SECONDS_BETWEEN_READS)

    def _look_at(self, dropped: bytes) -> None:
        """Keep the lines of a dropped part that the caller wants, while there is room for them."""
        if self._kept_lines is None or not dropped:
            return
        *lines, rest = (self._line + dropped).split(b"\n")
        self._line = rest[-MAX_KEPT_BYTES:]
        for line in filter(self._kept_lines.match, lines):
            if len(self._kept) + len(line) + 2 < MAX_KEPT_BYTES:
                self._kept += b"\n" + line

    def text(self) -> str:
        """Return the first and the last half, and what was kept of the middle."""
        kept = self._kept + b"\n" if self._kept else b""
        return self._decoded(self._head + kept + self._tail)

    @staticmethod
    def _decoded(messages: bytes) -> str:
        return messages.decode("utf-8", "replace")


def die_with_parent() -> None:
    """Let Linux send SIGTERM to this process when the thread that started it ends, for whatever reason."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGTERM)
