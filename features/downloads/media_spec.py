"""The checks of a media file: its kind, its size, its digest; names and headers do not count."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.downloads.media_kinds import COVER_KINDS, EXTRA_VIDEO_KINDS, VIDEO_KINDS, KindSniffer

if TYPE_CHECKING:
    from pathlib import Path

    from features.downloads.download_rows import MediaFile

READ_BYTES = 1 << 20
_CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})?")


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
        self._sniffer = KindSniffer()
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
        if self._sniffer.update(data):
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
        kind, kinds = self._sniffer.kind(), self._spec.kinds
        if kind not in kinds:
            detail = (
                f"the file is {kind or 'of no known kind'}{_way_out(kind, kinds)}, expected {', '.join(sorted(kinds))}"
            )
            raise ClipError(self._spec.wrong_kind_code, detail)
        return kind


def _way_out(kind: str, kinds: frozenset[str]) -> str:
    """Return what a person can do about a picture in the place of a video, ``""`` about any other file."""
    if not kinds >= VIDEO_KINDS:
        return ""
    if kind in EXTRA_VIDEO_KINDS:
        return f" (for moving ones, name {kind} in [download] extra_video_kinds)"
    return " (a picture: give it as the cover)" if kind in COVER_KINDS else ""
