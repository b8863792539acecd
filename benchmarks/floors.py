"""The least that parts of the work can take.

Of Extract, its network over batches in memory, and its JPEGs decoded and no more; of a run with nothing to do, an
interpreter that imports Luigi and ends.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from features.backbones.runtime.runner import outputs
from features.base.parallel import num_cpus
from features.formats.matroska import StoredPicture, stored_pictures
from features.formats.tar_shard import open_tar_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from features.backbones.runtime.runner import Inputs, Runner

# Arguments of the interpreter: the floor of every `luigi` command, whatever the module.
BARE_LUIGI = ["-c", "import luigi.cmdline"]


class Recorder:
    """Wraps a runner and keeps its batches."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._batches: list[Inputs] = []
        self.name = runner.name
        self.max_in_flight = runner.max_in_flight
        self.busy = runner.busy

    @classmethod
    @contextmanager
    def of(cls, extractor: Any) -> Iterator[Recorder]:  # noqa: ANN401 - any extractor that has a network
        """Wrap the network of an extractor for as long as the context lasts."""
        runner = extractor._runner  # noqa: SLF001 - the very network that Extract runs
        recorder = cls(runner)
        # Declared, so that mypy compares the two: the extractor itself is untyped here.
        replacement: Runner = recorder
        extractor._runner = replacement  # noqa: SLF001
        try:
            yield recorder
        finally:
            extractor._runner = runner  # noqa: SLF001

    def start(self, *inputs: npt.NDArray[Any]) -> Callable[[], npt.NDArray[np.float32]]:
        """Begin with one batch, and return what waits for its output."""
        self._batches.append(inputs)
        return self._runner.start(*inputs)

    def __call__(self, *inputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the network's output for one batch."""
        return self.start(*inputs)()

    def replay(self) -> None:
        """Run the batches again, as many in flight as Extract has."""
        for _ in outputs(self._runner, self._batches):
            pass


def stored_frames(shard: Path) -> list[list[StoredPicture]]:
    """Return the frames of each clip of a decoded shard, not decoded."""
    return [list(stored_pictures(clip.matroska)) for clip in open_tar_shard(shard) if clip.matroska is not None]


def decode_jpegs(pictures: list[StoredPicture]) -> None:
    """Decode pictures in a thread per CPU."""
    with ThreadPoolExecutor(num_cpus()) as pool:
        for _ in pool.map(StoredPicture.pixels, pictures):
            pass
