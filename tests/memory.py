"""The memory that a process took at most."""

from __future__ import annotations

import re
from pathlib import Path


def peak_megabytes() -> float:
    """Return the most that this process has had in memory.

    Unlike ``ru_maxrss`` it does not count what the process that started this one had.
    """
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    assert match is not None
    return int(match[1]) / 1024
