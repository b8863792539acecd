"""The checks of a media file: its kind by the first bytes, its size, its digest; names and headers do not count."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.errors import ClipError

if TYPE_CHECKING:
    from pathlib import Path

    from features.downloads.download_rows import MediaFile

VIDEO_KINDS = frozenset({"mp4", "matroska", "avi", "flv", "mpegts", "mpegps"})
# Animated pictures: videos only with ``extra_video_kinds``.
EXTRA_VIDEO_KINDS = frozenset({"gif", "webp"})
COVER_KINDS = frozenset({"jpeg", "png", "webp"})
SNIFF_BYTES = 512
TS_PACKET_BYTES = 188
_SIGNATURES = (
    (4, b"ftyp", "mp4"),
    # QuickTime files of before ISO 14496-12 start with one of these boxes.
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x00\x00\x01\xba", "mpegps"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF8", "gif"),
)
READ_BYTES = 1 << 20
_CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})?")


def kind_of(head: bytes) -> str:
    """Return the kind of a file by its first 512 bytes, ``""`` for an unknown one.

    ``html`` and ``gif`` are recognised because servers often send them instead of a video.
    """
    for offset, magic, kind in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"AVI ": "avi"}.get(head[8:12], "")
    if head[:1] == b"\x47" and head[TS_PACKET_BYTES : TS_PACKET_BYTES + 1] == b"\x47":
        return "mpegts"
    start = head.lstrip()[:15].lower()
    return "html" if start.startswith((b"<!doctype html", b"<html")) else ""


@dataclass(frozen=True)
class StoredFacts:
    """A whole file: its digest, its kind and its size in bytes."""

    sha256: str
    kind: str
    num_bytes: int


@dataclass(frozen=True)
class PartialFacts:
    """The state of a body that may be incomplete.

    Attributes:
        total: Bytes of the whole body.
        etag: Strong entity tag, ``""`` = none.
        last_modified: As the server wrote it, ``""`` = none.
    """

    total: int
    etag: str
    last_modified: str


@dataclass(frozen=True)
class MediaSpec:
    """The requirements on one file.

    Attributes:
        kinds: Accepted kinds.
        wrong_kind_code: Code of a file of another kind, such as ``not_a_video``.
        max_bytes: Largest size.
        checksum: ``sha256:<hex>`` or ``md5:<hex>``, ``""`` = any content.
    """

    kinds: frozenset[str]
    wrong_kind_code: str
    max_bytes: int
    checksum: str = ""

    def __post_init__(self) -> None:
        if not _CHECKSUM.fullmatch(self.checksum):
            raise ClipError("bad_checksum", f"{self.checksum[:80]!r}: give sha256:<64 hex> or md5:<32 hex>")

    def accepts(self, file: MediaFile) -> bool:
        """Return whether the facts of a file that was checked before meet the spec; they have no MD5."""
        other_digest = self.checksum.startswith("sha256:") and self.checksum != f"sha256:{file.sha256}"
        return file.kind in self.kinds and file.bytes <= self.max_bytes and not other_digest

    def accepts_content(self, path: Path) -> bool:
        """Return whether the content of a file has the ``md5:`` checksum; without one the file is not read."""
        if not self.checksum.startswith("md5:"):
            return True
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as stream:
                while data := stream.read(READ_BYTES):
                    digest.update(data)
        except OSError:
            return False
        return self.checksum == f"md5:{digest.hexdigest()}"

    def check_size(self, num_bytes: int) -> None:
        """Raise for a file that is too large.

        Raises:
            ClipError: ``too_large``.
        """
        if num_bytes > self.max_bytes:
            raise ClipError("too_large", f"{num_bytes:,} bytes; max_bytes is {self.max_bytes:,}")


class StreamingValidator:
    """Checks a file against its spec while its bytes stream through.

    Args:
        spec: The requirements.
    """

    def __init__(self, spec: MediaSpec) -> None:
        self._spec = spec
        self._sha256 = hashlib.sha256()
        by_md5 = spec.checksum.startswith("md5:")
        self._md5 = hashlib.md5(usedforsecurity=False) if by_md5 else None
        self._head = b""
        self.num_bytes = 0

    def update(self, data: bytes) -> None:
        """Check the next bytes.

        Raises:
            ClipError: ``too_large``, or the code for a wrong kind as soon as enough bytes have arrived.
        """
        self.num_bytes += len(data)
        self._spec.check_size(self.num_bytes)
        self._sha256.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        if len(self._head) < SNIFF_BYTES:
            self._head += data[: SNIFF_BYTES - len(self._head)]
            if len(self._head) == SNIFF_BYTES:
                self._kind()

    def finish(self) -> StoredFacts:
        """Check the whole file and return its facts.

        Raises:
            ClipError: ``empty_file``, ``checksum_mismatch`` or the code for a wrong kind.
        """
        if not self.num_bytes:
            raise ClipError("empty_file", "the file holds no byte")
        kind = self._kind()
        sha256 = self._sha256.hexdigest()
        found = f"md5:{self._md5.hexdigest()}" if self._md5 is not None else f"sha256:{sha256}"
        if self._spec.checksum not in {"", found}:
            raise ClipError("checksum_mismatch", f"the content is {found}, expected {self._spec.checksum}")
        return StoredFacts(sha256, kind, self.num_bytes)

    def _kind(self) -> str:
        kind, kinds = kind_of(self._head), self._spec.kinds
        if kind not in kinds:
            expected = ", ".join(sorted(kinds))
            raise ClipError(
                self._spec.wrong_kind_code, f"the file is {kind or 'of no known kind'}, expected {expected}"
            )
        return kind
