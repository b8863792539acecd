"""Walks the shards of a stage."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from features.base.parallel import STOPPING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Result = TypeVar("Result")


@dataclass(frozen=True)
class ShardJob:
    """One shard to build.

    Attributes:
        number: Position of the shard in the corpus.
        name: File name of the result.
        key: Digest of the settings above it and of its own inputs: equal keys, equal bytes.
        rows: Clips in it.
        inputs: Files that it is made of, by stage.
        digests: The sha256 that each of those files had when it was published.
        previous: An earlier, intact version of this shard in the same folder, made with the same settings of
            other inputs or at another time; clips that would come out the same may be taken over from it.
    """

    number: int
    name: str
    key: str
    rows: int
    inputs: dict[str, Path]
    digests: dict[str, str]
    previous: Path | None = None


class Laps:
    """Wall time split over shards that are built side by side; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = time.monotonic()

    def lap(self) -> float:
        """Return the seconds since the last lap, so that the laps of all shards add up to the whole."""
        with self._lock:
            now = time.monotonic()
            seconds, self._last = now - self._last, now
            return seconds


def run_local(
    build: Callable[[ShardJob], Result], jobs: Iterable[ShardJob], at_a_time: int = 1
) -> Iterator[tuple[ShardJob, Result]]:
    """Yield each job with what ``build`` returned, as they get done.

    With ``at_a_time`` above 1 so many shards are built in threads of this process. They share the workers
    that do the clips, so that the last slow clips of one shard do not hold the others up. After an exception
    no further shard is begun, and ``STOPPING`` asks those in work to give up.
    """
    if at_a_time == 1:
        # Not in a thread: libraries of frozen networks keep state by thread.
        for job in jobs:
            yield job, build(job)
        return
    running: dict[Future[Result], ShardJob] = {}
    with ThreadPoolExecutor(at_a_time) as threads:
        try:
            for job in jobs:
                running[threads.submit(build, job)] = job
                if len(running) == at_a_time:
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        except BaseException:
            STOPPING.set()
            raise


def _finished(running: dict[Future[Result], ShardJob]) -> Iterator[tuple[ShardJob, Result]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()
