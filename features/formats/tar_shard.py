"""Decoded shards: a tar in WebDataset's naming, the same bytes for the same content.

``<clip>.mkv`` contains sampled frames and sound, ``<clip>.cover.jpg`` the cover, ``<clip>.json`` the outcome.
The members of a clip are adjacent, in the order of the records. ``webdataset`` reads these files too.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from features.base.errors import ShardError
from features.base.files import sha256_of
from features.base.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

# With a digest and the longest suffix it stays within the 100 bytes of a name in a tar.
MAX_KEY_CHARACTERS = 64
MATROSKA = "mkv"
COVER = "cover.jpg"
# Of the stored sound.
SAMPLE_RATE_HZ = 16_000
TAR_BLOCK_BYTES = tarfile.BLOCKSIZE
# How much of a file is hashed at a time.
HASH_BYTES = 1 << 20
# An archive ends with two blocks of zeros.
END_OF_ARCHIVE = bytes(2 * TAR_BLOCK_BYTES)
# What reading a damaged file raises.
DAMAGE = (OSError, tarfile.TarError, EOFError, ValueError, KeyError, TypeError)
UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def member_key(clip_id: str) -> str:
    """Return the name that a clip's members share: the id itself where it is safe as a file name.

    Any other id loses its unsafe characters and gains a digest, so that two ids never share a name.
    """
    if len(clip_id) <= MAX_KEY_CHARACTERS and not UNSAFE.search(clip_id):
        return clip_id
    digest = hashlib.sha256(clip_id.encode("utf-8")).hexdigest()[:12]
    return f"{UNSAFE.sub('_', clip_id)[:MAX_KEY_CHARACTERS]}-{digest}"


class TarShardWriter:
    """Writes the clips of one shard in order."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> TarShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def add(
        self, outcome: Outcome, matroska: IO[bytes] | None, cover: IO[bytes] | None, about: Mapping[str, Any]
    ) -> None:
        """Append one clip whose parts are read from files, a piece at a time, each from its start to its end."""
        key = member_key(outcome.clip_id)
        for suffix, data in ((MATROSKA, matroska), (COVER, cover)):
            if data is not None:
                data.seek(0, io.SEEK_END)
                size = data.tell()
                data.seek(0)
                self._member(f"{key}.{suffix}", data, size)
        self._row(key, outcome, about)

    def copy(self, clip: StoredClip, shard: IO[bytes]) -> None:
        """Append one clip of another shard, an open file, a piece at a time."""
        key = member_key(clip.outcome.clip_id)
        for suffix, (position, size) in clip.parts.items():
            shard.seek(position)
            self._member(f"{key}.{suffix}", shard, size)
        self._row(key, clip.outcome, clip.about)

    def _row(self, key: str, outcome: Outcome, about: Mapping[str, Any]) -> None:
        row = json.dumps({**outcome.to_json(), **about}, sort_keys=True, ensure_ascii=False).encode("utf-8")
        self._member(f"{key}.json", io.BytesIO(row), len(row))

    def _member(self, name: str, data: IO[bytes], size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size = size
        info.mtime = 0
        self._tar.addfile(info, data)


@dataclass(frozen=True)
class OpenedClip:
    """One clip of a decoded shard, whose parts are files to read from.

    Attributes:
        outcome: How decoding went.
        matroska: Frames and sound, ``None`` when nothing could be decoded.
        cover: JPEG, ``None`` when there is none.
        about: Facts for a person and for later stages: durations, numbers of frames.
    """

    outcome: Outcome
    matroska: IO[bytes] | None
    cover: IO[bytes] | None
    about: Mapping[str, Any]  # JSON values


def open_tar_shard(path: Path, sha256: str = "") -> Iterator[OpenedClip]:
    """Yield the clips of a decoded shard in order; the parts of one can be read until the next one is requested.

    Args:
        path: The shard.
        sha256: What the bytes of the whole file must hash to, ``""`` for any. Each clip is hashed just before it is
            yielded, so that the disk is read once; a damaged shard may yield damaged clips before the error.

    Raises:
        ShardError: The file is damaged: at the end of the iteration at the latest.
    """
    parts: dict[str, IO[bytes]] = {}
    with _opened(path) as stream:
        hashed = _HashedFile(path, stream, sha256)
        try:
            for name, position, size in _headers(stream):
                suffix = name.partition(".")[2]
                part = _Part(stream, position, size)
                if suffix != "json":
                    parts[suffix] = io.BufferedReader(part)
                    continue
                outcome, about = _row(part.readall())
                hashed.advance(position + size)
                yield OpenedClip(outcome, parts.get(MATROSKA), parts.get(COVER), about)
                parts = {}
        except DAMAGE as error:
            hashed.check()
            raise _damaged(path, error) from error
        hashed.check()
    if parts:
        raise ShardError(f"{path} ends in the middle of a clip: delete it and run again")


def check_digest(path: Path, sha256: str) -> None:
    """Compare the bytes of a published shard with their digest.

    Raises:
        ShardError: They differ, or the file cannot be read.
    """
    try:
        _compare(path, sha256_of(path), sha256)
    except OSError as error:
        raise _damaged(path, error) from error


def _compare(path: Path, found: str, expected: str) -> None:
    if expected and found != expected:
        raise ShardError(
            f"{path} is damaged: its sha256 is not the one it was published with; run"
            " `python -m pipeline verify`, which removes it, and then the same command again"
        )


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ShardError:
    return ShardError(f"{path} is damaged ({error}): delete it and run again")


class _HashedFile:
    """Hashes an open file from its start to its end while it is read, without moving its position."""

    def __init__(self, path: Path, stream: IO[bytes], sha256: str) -> None:
        self._path = path
        self._descriptor = stream.fileno()
        self._expected = sha256
        self._digest = hashlib.sha256()
        self._position = 0

    def advance(self, end: int | None = None) -> None:
        """Hash what is not hashed yet, up to ``end``, by default that of the file."""
        while self._expected and (end is None or self._position < end):
            wanted = HASH_BYTES if end is None else min(HASH_BYTES, end - self._position)
            data = os.pread(self._descriptor, wanted, self._position)
            if not data:
                return
            self._digest.update(data)
            self._position += len(data)

    def check(self) -> None:
        """Hash the rest of the file.

        Raises:
            ShardError: It has another digest than expected.
        """
        self.advance()
        _compare(self._path, self._digest.hexdigest(), self._expected)


class _Part(io.RawIOBase):
    """A stretch of an open file, with a position of its own."""

    def __init__(self, stream: IO[bytes], start: int, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what io hands in
        wanted = max(0, min(len(buffer), self._size - self._position))
        data = os.pread(self._stream.fileno(), wanted, self._start + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


@dataclass(frozen=True)
class StoredClip:
    """The position of one clip in a decoded shard, and its row.

    Attributes:
        outcome: How decoding went.
        about: Facts for a person and for later stages: durations, numbers of frames.
        parts: Suffix of the member (``mkv``, ``cover.jpg``) -> position of its first byte, and its length.
    """

    outcome: Outcome
    about: Mapping[str, Any]  # JSON values
    parts: Mapping[str, tuple[int, int]]


def index_tar_shard(path: Path) -> dict[str, StoredClip]:
    """Return the clips of a decoded shard by their id; of the contents only the rows are read.

    Raises:
        ShardError: The file is damaged.
    """
    clips: dict[str, StoredClip] = {}
    parts: dict[str, tuple[int, int]] = {}
    try:
        with path.open("rb") as stream:
            for name, position, size in _headers(stream):
                suffix = name.partition(".")[2]
                if suffix != "json":
                    parts[suffix] = (position, size)
                    continue
                stream.seek(position)
                outcome, about = _row(stream.read(size))
                clips[outcome.clip_id] = StoredClip(outcome, about, parts)
                parts = {}
    except DAMAGE as error:
        raise _damaged(path, error) from error
    return clips


def read_parts(path: Path, clip: StoredClip) -> dict[str, bytes]:
    """Return the parts of one clip of a decoded shard: suffix (``mkv``, ``cover.jpg``) -> bytes."""
    with path.open("rb") as stream:
        parts = {}
        for suffix, (position, size) in clip.parts.items():
            stream.seek(position)
            parts[suffix] = stream.read(size)
    return parts


def _headers(stream: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """Yield name, position and length of every member; the caller may move the position of ``stream``."""
    end = 0
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            if not member.isreg():
                raise tarfile.ReadError(f"{member.name} is no file")
            yield member.name, member.offset_data, member.size
            end = member.offset_data + -(-member.size // TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
    # tarfile takes a damaged header, or the end of a file that was cut, for the end of the archive.
    stream.seek(end)
    if stream.read(len(END_OF_ARCHIVE)) != END_OF_ARCHIVE:
        raise tarfile.ReadError(f"no member and no end at byte {end:,}")


def _row(data: bytes) -> tuple[Outcome, dict[str, Any]]:
    row = json.loads(data)
    if not isinstance(row, dict):
        raise ValueError("a row that is no object")  # noqa: TRY004 - the content of a damaged file, not an argument
    return Outcome(**{name: row.pop(name) for name in ("clip_id", "status", "code", "detail")}), row
