"""Runs the ffmpeg commands of a clip: their limits, results that may exceed the memory, one time for each file."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from features.base.errors import ClipError
from features.base.parallel import STOPPING
from features.base.process import Limits, run
from features.decoding.input_streams import LISTING
from features.decoding.messages import was_killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from features.base.process import Completed
    from features.decoding.config import DecodeConfig
    from features.downloads.download_rows import MediaFile

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class ClipDecoder:
    """Decodes clips with one configuration: the settings, the ffmpeg binary and the folders.

    Attributes:
        config: The settings.
        binary: The ffmpeg to run.
        locate: Returns the absolute path of a file, or raises :class:`ClipError`.
        folder: Empty folder in which ffmpeg runs.
        spool_folder: Folder of the unnamed files for results that are too large for memory.
        max_result_bytes: Largest result that stays in memory.
        spools: Open results.
    """

    config: DecodeConfig
    binary: str
    locate: Callable[[MediaFile], Path]
    folder: Path
    spool_folder: Path
    max_result_bytes: int
    spools: set[IO[bytes]] = field(default_factory=set)

    def spool(self) -> IO[bytes]:
        """Return an empty file, in memory as long as it is small."""
        result: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by release()
            max_size=self.max_result_bytes, dir=str(self.spool_folder)
        )
        self.spools.add(result)
        return result

    def release(self, spools: Iterable[IO[bytes]]) -> None:
        """Close results that are no longer read."""
        for spool in list(spools):
            spool.close()
            self.spools.discard(spool)

    def run(
        self,
        command: list[str],
        max_stdout_bytes: int,
        output: IO[bytes],
        until: float,
        enough: Callable[[str], bool | None] | None = None,
    ) -> Completed:
        """Run ffmpeg with its output going to ``output``, and return its exit code and log.

        Its time ends at ``until`` of the monotonic clock. It is ended early where ``enough`` is true of the beginning
        of its log, see ``features.base.process.run``.
        """
        max_memory_bytes = self.config.max_process_megabytes * MEGABYTE
        seconds_left = max(0.0, until - time.monotonic())
        limits = Limits(seconds_left, max_stdout_bytes, max_memory_bytes, STOPPING, LISTING)
        try:
            return run(command, limits, output=output, folder=self.folder, enough=enough)
        except ClipError as error:
            if error.code != "decode_timeout":
                raise
            detail = f"ffmpeg ran longer than {self.config.timeout_seconds:g} s, the limit for one file"
            raise ClipError(error.code, detail) from error


class ClipWork:
    """The state of one clip while it is decoded."""

    def __init__(self, decoder: ClipDecoder) -> None:
        self.decoder = decoder
        self.cpu_seconds = 0.0
        self.spools: list[IO[bytes]] = []
        self.facts: dict[str, Any] = {}  # JSON values
        self._until = 0.0

    def begin_file(self) -> None:
        """Start the time of a file, whose commands share ``DecodeConfig.timeout_seconds``."""
        self._until = time.monotonic() + self.decoder.config.timeout_seconds

    def spool(self) -> IO[bytes]:
        """Return an empty file, which is closed after the clip unless it is part of the result."""
        self.spools.append(self.decoder.spool())
        return self.spools[-1]

    def run(
        self,
        command: list[str],
        path: Path,
        max_stdout_bytes: int,
        enough: Callable[[str], bool | None] | None = None,
    ) -> tuple[IO[bytes], Completed]:
        """Return ffmpeg's output, and its exit code and log as it wrote it, with the path removed from the log.

        A process that was killed from outside (by a user, or when memory ran out) is no verdict on the file: it is
        started once more.

        Raises:
            ClipError: ``decoder_killed``, ``decode_timeout`` or ``output_too_large``.
        """
        for _ in range(2):
            output = self.spool()
            done = self.decoder.run(command, max_stdout_bytes, output, self._until, enough)
            self.cpu_seconds += done.cpu_seconds
            if done.was_enough or not was_killed(done.returncode, done.stderr):
                break
        else:
            raise ClipError("decoder_killed", f"ffmpeg was killed from outside, twice ({done.returncode})")
        return output, replace(done, stderr=done.stderr.replace(f"file:{path}", "the file"))
