"""Walks the shards of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

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
    """

    number: int
    name: str
    key: str
    rows: int
    inputs: dict[str, Path]


def run_local(build: Callable[[ShardJob], Result], jobs: Iterable[ShardJob]) -> Iterator[tuple[ShardJob, Result]]:
    """Yield each job with what ``build`` returned, one after the other in this process.

    Stages that wait for programs or servers run clips of one shard side by side instead.
    """
    for job in jobs:
        yield job, build(job)
