"""The ffmpeg binary: where it is, and which version."""

from __future__ import annotations

import functools
import os
import re
import shutil

from features.base.errors import ClipError, ToolError
from features.base.process import Limits, run

OLDEST_VERSION = (5, 1)
# Flags, name, kinds of inputs and outputs.
_FILTER = re.compile(r"^ [A-Z.]{2,3} (\w+) +\S+->\S+ ", re.MULTILINE)
VERSION = re.compile(r"ffmpeg version (?P<name>n?(?P<major>\d+)\.(?P<minor>\d+)\S*)")


@functools.cache
def find_ffmpeg(setting: str) -> str:
    """Return the absolute path of the ffmpeg binary that a setting names; ``""`` = the packaged one.

    Raises:
        ToolError: There is none, or it cannot be run.
    """
    if setting:
        found = shutil.which(setting)
        if found is None:
            raise ToolError(
                f"ffmpeg is not an executable at {setting!r}: correct [decode] ffmpeg, or leave it empty for"
                " the binary that the package imageio-ffmpeg brings"
            )
        # Programs are started in another folder than this one.
        return os.path.abspath(found)  # noqa: PTH100 - Path has no way that keeps symbolic links and drops ".."
    import imageio_ffmpeg  # noqa: PLC0415 - 10 ms that only decoding needs

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ToolError("the package imageio-ffmpeg brings no binary for this machine: set [decode] ffmpeg") from error


@functools.cache
def ffmpeg_version(binary: str) -> str:
    """Return the version that a binary states, such as ``7.0.2-static``.

    Raises:
        ToolError: It is no ffmpeg, or older than 5.1.
    """
    try:
        answer = run([binary, "-version"], Limits(timeout_seconds=20)).stdout.decode("utf-8", "replace")
    except ClipError as error:
        raise ToolError(f"{binary} -version gave no answer: set [decode] ffmpeg") from error
    first_line = answer.partition("\n")[0]
    match = VERSION.match(first_line)
    if match is None:
        raise ToolError(f"{binary} does not look like ffmpeg, it says {first_line[:60]!r}: set [decode] ffmpeg")
    if (int(match["major"]), int(match["minor"])) < OLDEST_VERSION:
        raise ToolError(f"{binary} is ffmpeg {match['name']}, older than 5.1: set [decode] ffmpeg")
    return match["name"]


@functools.cache
def filters_of(binary: str) -> frozenset[str]:
    """Return the names of the filters that a binary has."""
    answer = run([binary, "-hide_banner", "-filters"], Limits(timeout_seconds=20)).stdout.decode("utf-8", "replace")
    return frozenset(_FILTER.findall(answer))
