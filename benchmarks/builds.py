"""Two builds of this product side by side: this working tree and an earlier commit, run by one interpreter."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parent.parent
# The last commit before settings were read once a run.
BASELINE = "66a4a25"
# The stages go through every network with these settings and take little time.
SMALL: Mapping[str, Mapping[str, str]] = {
    "sample": {"num_clips": "40"},
    "decode": {"frames_per_second": "1"},
    "train": {"epochs": "2"},
}


@dataclass(frozen=True)
class Finished:
    """A command that ended: what it printed, and the CPU and wall seconds of its whole process tree."""

    output: str
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class Build:
    """A source tree with the four packages, run by this interpreter."""

    tree: Path

    def run(self, arguments: list[str], config: Path) -> Finished:
        """Run the interpreter with ``arguments`` on the code of this tree.

        Args:
            arguments: After the interpreter: ``-m luigi ...`` or a script.
            config: The file that ``LUIGI_CONFIG_PATH`` names. Its folder is the working folder: no ``luigi.cfg`` and no
                package of another tree is found there.

        Raises:
            subprocess.CalledProcessError: The command failed; its last lines are printed.
        """
        environment = {**os.environ, "PYTHONPATH": str(self.tree), "LUIGI_CONFIG_PATH": str(config)}
        command = [sys.executable, *arguments]
        with tempfile.TemporaryFile() as stream:
            started = os.times().elapsed
            process = subprocess.Popen(
                command, cwd=config.parent, env=environment, stdout=stream, stderr=subprocess.STDOUT
            )
            # The usage of the process and of all its descendants that were waited for.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall = os.times().elapsed - started
            stream.seek(0)
            output = stream.read().decode("utf-8", "replace")
        if process.returncode:
            print(output[-2000:], file=sys.stderr)
            raise subprocess.CalledProcessError(process.returncode, command, output)
        return Finished(output, usage.ru_utime + usage.ru_stime, wall)

    def luigi(self, config: Path, *arguments: str) -> Finished:
        """Run ``luigi --module pipeline`` with ``arguments``."""
        return self.run(["-m", "luigi", "--module", "pipeline", *arguments], config)

    def check(self, config: Path) -> None:
        """Check that a run loads the four packages from this tree and not from an installed copy."""
        script = "import pipeline, tasks, features, models\nfor item in (pipeline, tasks, features, models):\n"
        found = self.run(["-c", f"{script}    print(item.__path__[0])"], config).output.split()
        assert found == [str(self.tree / name) for name in ("pipeline", "tasks", "features", "models")], found


def write_config(folder: Path, sections: Mapping[str, Mapping[str, str]] | None = None) -> Path:
    """Write a configuration whose root is ``<folder>/runs``, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    config = configparser.ConfigParser(interpolation=None)
    config.read_dict({**(SMALL if sections is None else sections), "paths": {"root": str(folder / "runs")}})
    path = folder / "bench.cfg"
    with path.open("w", encoding="utf-8") as stream:
        config.write(stream)
    return path


def this_build() -> Build:
    """Return the build of the working tree."""
    return Build(REPOSITORY)


def baseline_build(folder: Path, commit: str = BASELINE) -> Build | None:
    """Return the build of ``commit``, unpacked below ``folder``; ``None``, and a line, when this clone lacks it."""
    archive = folder / f"{commit}.zip"
    command = ["git", "-C", str(REPOSITORY), "archive", "--format=zip", "--output", str(archive), commit]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = found.stderr.strip() if found.returncode else ""
    except OSError as error:
        reason = str(error)
    if reason:
        print(f"commit {commit} is not in this clone ({reason}): this build is measured alone", flush=True)
        return None
    with zipfile.ZipFile(archive) as stream:
        stream.extractall(folder / commit)
    return Build(folder / commit)
