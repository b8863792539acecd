"""Runs the real command in a folder of the test, as a person would."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# A command takes half a minute on two quiet cores, many times that on busy ones.
TIMEOUT_SECONDS = 600
WAIT_SECONDS = 120.0
# Small enough for a test, real enough to go through every network.
SMALL: dict[str, dict[str, str]] = {
    "sample": {"num_clips": "32"},
    "manifest": {"clips_per_shard": "12"},
    "decode": {"frames_per_second": "1"},
    "network": {"trn_width": "16", "nextvlad_clusters": "4", "hidden_width": "32"},
    "train": {"epochs": "2"},
}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another process is about to do."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@dataclass(frozen=True)
class Workplace:
    """A folder with a configuration, and the command line in it."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "runs"

    def configure(self, sections: Mapping[str, Mapping[str, str]]) -> None:
        config = configparser.ConfigParser(interpolation=None)
        config.read_dict(sections)
        with (self.folder / "test.cfg").open("w", encoding="utf-8") as stream:
            config.write(stream)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("luigi")), "--module", "pipeline", *arguments],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def luigi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            try:
                output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
            except BaseException:
                # Else it would go on beside the tests that follow, and its task with it.
                process.kill()
                raise
            return subprocess.CompletedProcess(process.args, process.returncode, output)

    def pipeline(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LUIGI_CONFIG_PATH": str(self.folder / "test.cfg"), "OMP_NUM_THREADS": "1"}
