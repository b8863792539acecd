"""Rows of older shards that a new one of the same recipe can take instead of making them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from features.base.files import sha256_of_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

RowT = TypeVar("RowT")
# What decides the content of a decoded clip, settings and ffmpeg apart.
SOURCE_FACTS = ("video_sha256", "cover_sha256", "download_problems")


class ReusableShard(Generic[RowT]):
    """The rows of older shards that need not be made again, by clip and by digest of what decides them.

    How rows are read differs by format: see the functions that return one of these.

    Args:
        close: Called when the rows are no longer needed.

    Attributes:
        num_reused: Rows that were taken.
    """

    def __init__(self, close: Callable[[], None] = lambda: None) -> None:
        self._rows: dict[tuple[str, bytes], RowT] = {}
        self._close = close
        self.num_reused = 0

    def add(self, clip_id: str, digest: bytes, row: RowT) -> None:
        """Add a row; a later one of the same clip and digest replaces it."""
        self._rows[clip_id, digest] = row

    def find(self, clip_id: str, digest: bytes) -> RowT | None:
        """Return the row that making the clip again would give, ``None`` where that is not known."""
        return self._rows.get((clip_id, digest))

    def take(self, clip_id: str, digest: bytes) -> RowT | None:
        """Return a row as :meth:`find` does, and count it."""
        row = self.find(clip_id, digest)
        self.num_reused += row is not None
        return row

    def __len__(self) -> int:
        return len(self._rows)

    def __enter__(self) -> ReusableShard[RowT]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def source_digest(about: Mapping[str, Any]) -> bytes:
    """Return the sha256 of the files that a decoded clip was made of, from its facts."""
    return digest_of({name: about.get(name) for name in SOURCE_FACTS})


def digest_of(value: object) -> bytes:
    """Return the sha256 of a value's canonical JSON, 32 bytes."""
    return bytes.fromhex(sha256_of_json(value, escape=True))
