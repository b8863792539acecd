"""Decoded shards: a tar in WebDataset's naming, the same bytes for the same content.

``<clip>.mkv`` holds sampled frames and sound, ``<clip>.cover.jpg`` the cover, ``<clip>.json`` the outcome.
The members of a clip stand together, in the order of the records. ``webdataset`` opens these files too.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from features.errors import ShardError
from features.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

# With a digest and the longest suffix it stays within the 100 bytes of a name in a tar.
MAX_KEY_CHARACTERS = 64
BLOCK_BYTES = tarfile.BLOCKSIZE
# An archive ends with two blocks of zeros.
END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)
UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class DecodedClip:
    """What Decode keeps of one clip.

    Attributes:
        outcome: How decoding went.
        matroska: Frames and sound, ``None`` when nothing could be decoded.
        cover: JPEG, ``None`` when there is none.
        about: Facts for a person and for later stages: durations, numbers of frames.
    """

    outcome: Outcome
    matroska: bytes | None = None
    cover: bytes | None = None
    about: Mapping[str, Any] = field(default_factory=dict)  # JSON values


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

    def add(self, clip: DecodedClip) -> None:
        """Append one clip."""
        key = member_key(clip.outcome.clip_id)
        if clip.matroska is not None:
            self._member(f"{key}.mkv", clip.matroska)
        if clip.cover is not None:
            self._member(f"{key}.cover.jpg", clip.cover)
        row = {**clip.outcome.to_json(), **clip.about}
        self._member(f"{key}.json", json.dumps(row, sort_keys=True, ensure_ascii=False).encode("utf-8"))

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        info.mtime = 0
        self._tar.addfile(info, io.BytesIO(data))


def read_tar_shard(path: Path) -> Iterator[DecodedClip]:
    """Yield the clips of a decoded shard in order.

    Raises:
        ShardError: The file is damaged.
    """
    parts: dict[str, bytes] = {}
    try:
        with path.open("rb") as stream:
            for name, data in _members(stream):
                suffix = name.partition(".")[2]
                parts[suffix] = data
                if suffix == "json":
                    yield _clip(parts)
                    parts = {}
    except (OSError, tarfile.TarError, EOFError, ValueError, KeyError) as error:
        raise ShardError(f"{path} is damaged ({error}): delete it and run again") from error
    if parts:
        raise ShardError(f"{path} ends in the middle of a clip: delete it and run again")


def _members(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    end = 0
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                raise tarfile.ReadError(f"{member.name} is no file")
            yield member.name, content.read()
            end = member.offset_data + -(-member.size // BLOCK_BYTES) * BLOCK_BYTES
    # tarfile takes a damaged header, or the end of a file that was cut, for the end of the archive.
    stream.seek(end)
    if stream.read(len(END_OF_ARCHIVE)) != END_OF_ARCHIVE:
        raise tarfile.ReadError(f"no member and no end at byte {end:,}")


def _clip(parts: Mapping[str, bytes]) -> DecodedClip:
    row = json.loads(parts["json"])
    if not isinstance(row, dict):
        raise ValueError("a row that is no object")  # noqa: TRY004 - what a damaged file says, not an argument
    outcome = Outcome(**{name: row.pop(name) for name in ("clip_id", "status", "code", "detail")})
    return DecodedClip(outcome, parts.get("mkv"), parts.get("cover.jpg"), row)
